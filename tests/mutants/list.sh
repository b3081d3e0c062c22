# The mutants: NAME KIND TEST, then FILE OLD NEW for each place. Read by tests/mutants.sh.
# KIND is loom (TEST is a model), plain (TEST is a path below ring::tests), or the name of a file in tests/
# (TEST is a path in it). FILE is below src/ring.

# Orderings.
mutant 'commit/release: Relaxed' loom l1_recycle append.rs \
    'mem.store(self.geometry.state(self.chunk), next.0, Release);' \
    'mem.store(self.geometry.state(self.chunk), next.0, Relaxed);'
mutant 'commit/acquire in collect: Relaxed' loom l1_recycle sweep.rs \
    'let state = State(mem.load(self.geometry.state(chunk), Acquire));
            match' \
    'let state = State(mem.load(self.geometry.state(chunk), Relaxed));
            match'
mutant 'recycle/release: Relaxed' loom l1_recycle commit.rs \
    'mem.store(self.geometry.state(chunk), next.0, Release);' \
    'mem.store(self.geometry.state(chunk), next.0, Relaxed);'
mutant 'recycle/acquire (lease): Relaxed' loom l1_recycle append.rs \
    'mem.cas(at, free.0, mine.0, Acquire, Relaxed)' \
    'mem.cas(at, free.0, mine.0, Relaxed, Relaxed)'
mutant 'recycle/release of a continuation: Relaxed' loom l7_large_record commit.rs \
    'mem.cas(self.geometry.state(chunk), state.0, next.0, Release, Relaxed)' \
    'mem.cas(self.geometry.state(chunk), state.0, next.0, Relaxed, Relaxed)'
mutant 'recycle/release of unused continuations: Relaxed' loom l7_large_record_refused append.rs \
    'mem.store(self.geometry.state(*chunk), free.0, Release);' \
    'mem.store(self.geometry.state(*chunk), free.0, Relaxed);'
mutant 'order/acqrel: Relaxed' loom l5_causality append.rs \
    'mem.add(word::ORDER, n, AcqRel)' \
    'mem.add(word::ORDER, n, Relaxed)'
mutant 'order/acqrel: Acquire alone' loom l5_causality append.rs \
    'mem.add(word::ORDER, n, AcqRel)' \
    'mem.add(word::ORDER, n, Acquire)'
mutant 'order/acquire: Relaxed' loom l5_causality sweep.rs \
    'let cut = mem.load(word::ORDER, Acquire);' \
    'let cut = mem.load(word::ORDER, Relaxed);'
mutant 'alive/release: Relaxed' loom l8_slot reclaim.rs \
    'mem.cas(at + slot::WORD, found.0, alive.0, Release, Relaxed)' \
    'mem.cas(at + slot::WORD, found.0, alive.0, Relaxed, Relaxed)'
mutant 'alive/acquire: Relaxed' loom l8_slot reclaim.rs \
    '// ORDER alive/acquire.
    let found = SlotWord(mem.load(geometry.slot(slot) + slot::WORD, Acquire));' \
    'let found = SlotWord(mem.load(geometry.slot(slot) + slot::WORD, Relaxed));'

# Who may touch what.
mutant 'a record is written without the BUSY CAS' loom l2_revoke append.rs \
    'if !ok {
            self.forget();
        }
        ok' \
    'if !ok {
            return true;
        }
        ok'
mutant 'no T0 cut' loom l5_causality sweep.rs \
    'let cut = mem.load(word::ORDER, Acquire);' \
    'let cut = u64::MAX;'
mutant 'T0 is read after the chunks' loom l5_causality sweep.rs \
    'let cut = mem.load(word::ORDER, Acquire);' \
    'let states: Vec<u64> = (0..self.geometry.chunks())
            .map(|c| mem.load(self.geometry.state(c), Acquire))
            .collect();
        let cut = mem.load(word::ORDER, Acquire);' sweep.rs \
    'let state = State(mem.load(self.geometry.state(chunk), Acquire));
            match' \
    'let state = State(states[chunk as usize]);
            match'
mutant 'reap does not ask for evidence' loom l3_producer_killed reclaim.rs \
    'if !dead() || mem.cas(' \
    'if mem.cas('
mutant 'reap asks after its CAS' plain normal::a_reaped_slot_is_not_touched_when_its_owner_lives_or_has_changed reclaim.rs \
    'if !dead() || mem.cas(at, found.0, reaping.0, AcqRel, Relaxed).is_err() {' \
    'if !dead() { return false; }
                let _ = mem.cas(at, found.0, reaping.0, AcqRel, Relaxed);
                if false {'
mutant 'reap does not seal what is BUSY' plain death::a_producer_may_die_at_any_step reclaim.rs \
    'if state.slot() != slot || !matches!(state.phase(), Some(Phase::Open | Phase::Busy)) {' \
    'if state.slot() != slot || !matches!(state.phase(), Some(Phase::Open)) {'
mutant 'revoke takes BUSY chunks too' loom l2_revoke reclaim.rs \
    'if still == 0 || state.phase() != Some(Phase::Open) {' \
    'if still == 0 || !matches!(state.phase(), Some(Phase::Open | Phase::Busy)) {'

# Exactly once.
mutant 'take-over does not truncate' loom l4_flusher_killed model.rs \
    'file.truncate(end);' \
    'let _ = end;'
mutant 'a successor always trusts pending cursors' loom l4_flusher_killed layout.rs \
    '} else if self.batch() == low20(commit) {' \
    '} else if self.batch() == low20(commit) || true {'
mutant 'a successor never trusts pending cursors' loom l4_flusher_killed layout.rs \
    '} else if self.batch() == low20(commit) {' \
    '} else if self.batch() == low20(commit) && false {'
mutant 'cursors count whatever the generation' loom l4_flusher_killed layout.rs \
    'if self.generation() != low20(generation) {' \
    'if self.generation() != low20(generation) && false {'
mutant 'batch number before journal cell' loom l4_flusher_killed journal.rs \
    '    for (i, x) in cell.words(commit).into_iter().enumerate() {
        mem.store(journal(commit, i), x, Relaxed);
    }
' \
    '    mem.store(word::COMMIT, commit, Release);
    for (i, x) in cell.words(commit).into_iter().enumerate() {
        mem.store(journal(commit, i), x, Relaxed);
    }
'
mutant 'one journal cell only' loom l4_flusher_killed layout.rs \
    '(cell & 1) as usize * CELL_WORDS' \
    '(cell & 0) as usize * CELL_WORDS'
mutant 'cursors are not marked before the write' loom l4_flusher_killed commit.rs \
    'mem.store(self.geometry.drain(chunk), word.0, Relaxed);
            }
        }
    }

    /// From here to the next' \
    'let _ = (mem, word);
            }
        }
    }

    /// From here to the next'
mutant 'cursor reset before the chunk is FREE' loom l4_flusher_killed commit.rs \
    'mem.store(self.geometry.state(chunk), next.0, Release);
        self.restart(mem, chunk, next.generation());' \
    'self.restart(mem, chunk, next.generation());
        mem.store(self.geometry.state(chunk), next.0, Release);'
mutant 'take-over does not fold' loom l6_successor_killed reclaim.rs \
    'mem.store(self.geometry.drain(chunk), word.0, Release);' \
    'let _ = word;'
mutant 'the same generation after recycling' loom l4_flusher_killed layout.rs \
    'State::new(Phase::Free, 0, 0, self.generation() + 1)' \
    'State::new(Phase::Free, 0, 0, self.generation())'

# Large records.
mutant 'nobody is told that a batch is being written' plain death::a_flusher_may_die_at_any_step commit.rs \
    'self.begin_writing(mem);' \
    ''
mutant 'the batch being written has the number of the last one' plain death::a_flusher_may_die_at_any_step commit.rs \
    'mem.store(word::WRITING, self.commit.wrapping_add(1), Relaxed);' \
    'mem.store(word::WRITING, self.commit, Relaxed);'
mutant 'continuations are freed before the commit' plain death::a_flusher_may_die_at_any_step commit.rs \
    '        journal::write(mem, self.commit, cell);
        self.free_bigs(mem);' \
    '        self.free_bigs(mem);
        journal::write(mem, self.commit, cell);'
mutant 'continuations are freed after the fold' plain death::a_flusher_may_die_while_the_owner_of_large_records_lives commit.rs \
    '        self.free_bigs(mem);
        for gap in' \
    '        for gap in' commit.rs \
    '        for (c, n) in [
            (Counter::LostCorrupt' \
    '        self.free_bigs(mem);
        for (c, n) in [
            (Counter::LostCorrupt'
mutant 'a dead producer keeps its continuations' loom l7_large_record_killed reclaim.rs \
    'self.free_unnamed_bigs(mem, slot);' \
    ''
mutant 'reap frees continuations that a record names' loom l7_large_record_killed reclaim.rs \
    'if !named.contains(&(chunk, state.generation())) {' \
    'if !named.contains(&(chunk, u64::MAX)) {'

# Hostile segments.
mutant 'a count is believed' plain hostile::a_count_beyond_what_a_chunk_holds_reads_nothing_outside_of_it sweep.rs \
    'state.count().min(self.geometry.records_max())' \
    'state.count()'
mutant 'a length is believed' plain hostile::random_bytes_as_a_segment_never_panic sweep.rs \
    'if sound && off as usize + meta.len() as usize <= room {' \
    'if sound && off as usize <= room {'
mutant 'a chunk number is believed' plain hostile::random_bytes_as_a_segment_never_panic sweep.rs \
    'in_range.then_some(Big { chunk, off, len, slot, parts })' \
    'Some(Big { chunk, off, len, slot, parts }).filter(|_| in_range || true)'
mutant 'keys of a batch must not run over' plain hostile::keys_that_run_over_stop_no_producer append.rs \
    'key.wrapping_add(i as u64)' \
    'key + i as u64'

# Notes, the reserve, checksums, tickets.
mutant 'a gap is told again by the next chunk' plain notes::a_gap_stands_between_what_was_written_before_and_after_it commit.rs \
    'if base == records {
            let slot' \
    'if base == records && false {
            let slot' commit.rs \
    'self.told_up_to(mem, gap.slot, gap.upto);' \
    'let _ = (gap.slot, gap.upto);'
mutant 'a gap told by the dead is told again' plain notes::a_flusher_that_tells_of_a_gap_may_die_at_any_step reclaim.rs \
    'if done > 0 && drain.base() == 0 {' \
    'if done > 0 && drain.base() == 0 && false {'
mutant 'a gap within a chunk told by the dead is told again' plain notes::a_flusher_that_tells_of_a_gap_within_a_chunk_may_die_at_any_step reclaim.rs \
    'self.told_up_to(mem, slot, self.told_by(mem, chunk, off));' \
    'let _ = slot;'
mutant 'a gap is not told after a take-over' plain notes::a_flusher_that_tells_of_a_gap_may_die_at_any_step reclaim.rs \
    'if done > 0 && drain.base() == 0 {' \
    'if holds_records && drain.base() == 0 {'
mutant 'the reserve is for everybody' plain notes::the_reserve_takes_warnings_when_it_takes_nothing_else append.rs \
    '0..if level >= RESERVED_FROM { reserve } else { 0 }' \
    '0..if level < 15 { reserve } else { 0 }'
mutant 'a checksum does not know its generation' plain notes::an_older_page_of_the_same_chunk_is_refused layout.rs \
    'b[..8].copy_from_slice(&generation.to_le_bytes());' \
    'let _ = generation;'
mutant 'tickets are read after the collection' durable syncs::sixteen_threads_share_their_syncs ../flush.rs \
    'while self.write_batch(&mut swept)? {}' \
    'while self.write_batch(&mut swept)? {}
        let tickets = mem.load(word::SYNC_WANT, Acquire).max(tickets);'

# Packed archives.
mutant 'what a killed flusher left half-made stays' compress a_flusher_killed_at_any_moment_of_packing_costs_no_line_and_leaves_nothing_behind ../flush/pack.rs \
    'for name in names.iter().filter(|name| Temporary::is_one(name)) {' \
    'for name in names.iter().filter(|name| name.is_empty()) {'
mutant 'an archive stays both plain and packed' compress a_flusher_killed_between_the_two_names_has_its_work_finished_by_the_next_one ../flush/pack.rs \
    'self.find_pair(&all)' \
    'self.find_pair(&all[..0])'
mutant 'a damaged packed file is believed' compress a_packed_file_that_is_not_whole_or_not_of_this_archive_removes_nothing ../pack/worker.rs \
    'Reader::new(&self.packed), from, goes_on)' \
    'Reader::new(&self.packed), from, goes_on).or(Ok(true))'
mutant 'a packed file of another archive is believed' compress a_packed_file_that_is_not_whole_or_not_of_this_archive_removes_nothing ../flush/pack.rs \
    'if self.has_failed(id) || sys::dir::identity_at(&self.path(plain)).ok()? != Some(id) {' \
    'if self.has_failed(id) {' ../flush/pack.rs \
    'job.origin().is(&origin).then_some(job)' \
    'Some(job)'
mutant 'an archive gets the name that it had before' compress an_archive_that_is_shifted_while_it_is_packed_gets_its_present_name ../flush/pack.rs \
    'let name = plain.packed(how.packing().unwrap_or(Packing::Plain));' \
    'let name = format!("{}.1.gz", self.at.name);'
mutant 'a packed file is put over another one' compress a_name_that_somebody_takes_meanwhile_is_not_overwritten ../flush/pack.rs \
    'sys::dir::rename_new(&temporary.0, &self.at.dir.join(&name))?;' \
    'std::fs::rename(&temporary.0, self.at.dir.join(&name))?;'
mutant 'what was changed meanwhile is removed' compress what_changes_while_it_is_packed_stays_plain_until_it_changes_no_more ../pack/worker.rs \
    'self.plain.looks().is_ok_and(|now| now == self.looks)' \
    'true'
mutant 'the thread has the priority of the others' compress what_changes_while_it_is_packed_stays_plain_until_it_changes_no_more ../pack/worker.rs \
    'sys::give_way();' \
    ''
mutant 'a packed file has rights and time of its own' compress archives_of_before_are_packed_with_their_rights_and_time_and_later_ones_stay_plain_again ../pack/worker.rs \
    'Ok(self.packed.resemble(&self.looks)?)' \
    'Ok(())'
mutant 'an inode names one file for ever' compress packed_archives_are_verified_like_plain_ones ../pack/worker.rs \
    'begun: self.begun()' \
    'begun: self.begun().min(1)'
mutant 'the index of a packed archive is removed' compress dated_archives_are_packed_under_their_dates_and_keep_their_index ../flush/index.rs \
    'if !plain && !packed {' \
    'if !plain {'
mutant 'a packed archive falls off unseen' compress packed_archives_that_fall_off_are_told_from_those_that_somebody_removed ../flush/file.rs \
    'match self.logged_as(name)? {' \
    'match self.identity_of(name)? {'
mutant 'an archive that is both counts twice' compress a_flusher_killed_between_the_two_names_has_its_work_finished_by_the_next_one ../verify.rs \
    'without_twins(&mut facts.logs, &mut files.logs);' \
    ''
