"""Kombu's filesystem transport, with messages that appear whole.

Its own workers may take a message's file away between its creation and the writing of its content, and end with a JSONDecodeError."""

import os
import time
import uuid

from kombu.transport import filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    def _put(self, queue, payload, **kwargs):
        name = f"{time.monotonic_ns() // 1_000_000}_{uuid.uuid4()}.{queue}.msg"
        whole = os.path.join(self.data_folder_out, name)
        with open(f"{whole}.tmp", "w") as f:
            f.write(dumps(payload))
        os.rename(f"{whole}.tmp", whole)


class Transport(filesystem.Transport):
    Channel = Channel
