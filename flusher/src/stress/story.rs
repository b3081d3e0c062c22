//! Lines such as a small web site's four kinds of processes write, made up.

use super::rng::Rng;

const PATHS: &[&str] = &[
    "/",
    "/login",
    "/search?q=lamp",
    "/api/v2/orders",
    "/api/v2/cart",
    "/static/app.js",
    "/products/4711",
    "/health",
];
const AGENTS: &[&str] =
    &["Mozilla/5.0 (X11; Linux x86_64)", "curl/8.9.1", "Mozilla/5.0 (iPhone; like Mac OS X)", "okhttp/4.12"];
const USERS: &[&str] = &["alice", "bob", "chandra", "dmitri", "elena", "farid", "grace"];
const TABLES: &[&str] = &["orders", "customers", "stock", "sessions"];

/// Line `seq` of the process `slot`.
pub fn line(slot: u32, seq: u64, rng: &mut Rng) -> String {
    match slot % 4 {
        0 => web(rng),
        1 => app(seq, rng),
        2 => db(rng),
        _ => auth(rng),
    }
}

fn one<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    rng.pick(of).unwrap_or("-")
}

fn address(rng: &mut Rng) -> String {
    format!("10.{}.{}.{}", rng.below(4), rng.below(250), rng.between(1, 254))
}

fn web(rng: &mut Rng) -> String {
    let status = rng.pick(&[200, 200, 200, 200, 200, 304, 302, 404, 500]).unwrap_or(200);
    let verb = rng.pick(&["GET", "GET", "GET", "POST"]).unwrap_or("GET");
    format!(
        "web INFO {} \"{verb} {} HTTP/1.1\" {status} {} \"{}\" {} ms",
        address(rng),
        one(rng, PATHS),
        rng.between(180, 48_000),
        one(rng, AGENTS),
        rng.between(1, 380)
    )
}

fn app(seq: u64, rng: &mut Rng) -> String {
    let order = 100_000 + rng.below(800_000);
    match rng.below(5) {
        0 => format!(
            "app WARN payment of order {order} took {} ms, limit is 800 ms, trying again",
            rng.between(801, 3000)
        ),
        1 => format!(
            "app ERROR order {order}: upstream \"stock\" answered 503 (attempt {} of 3)",
            rng.between(1, 3)
        ),
        2 => format!("app DEBUG request {seq} cache miss key=cart:{} ttl=300", one(rng, USERS)),
        _ => format!(
            "app INFO order {order} accepted for {}: {} items, {}.{:02} EUR",
            one(rng, USERS),
            rng.between(1, 9),
            rng.between(3, 400),
            rng.below(100)
        ),
    }
}

fn db(rng: &mut Rng) -> String {
    match rng.below(4) {
        0 => format!(
            "db LOG checkpoint complete: wrote {} buffers; sync={} ms",
            rng.between(12, 9000),
            rng.between(3, 90)
        ),
        1 => format!(
            "db WARN slow statement: {} ms: UPDATE {} SET changed = now() WHERE id = {}",
            rng.between(200, 4000),
            one(rng, TABLES),
            rng.below(1_000_000)
        ),
        _ => format!(
            "db LOG duration: 0.{:03} ms  SELECT * FROM {} WHERE id = {}",
            rng.below(1000),
            one(rng, TABLES),
            rng.below(1_000_000)
        ),
    }
}

fn auth(rng: &mut Rng) -> String {
    match rng.below(4) {
        0 => format!(
            "auth sshd[{}]: Failed password for invalid user {} from {} port {} ssh2",
            rng.between(900, 32_000),
            one(rng, USERS),
            address(rng),
            rng.between(1024, 65_535)
        ),
        1 => format!(
            "auth sudo: {} : TTY=pts/{} ; PWD=/srv ; USER=root ; COMMAND=/bin/systemctl restart app",
            one(rng, USERS),
            rng.below(9)
        ),
        _ => format!(
            "auth sshd[{}]: Accepted publickey for {} from {} port {} ssh2",
            rng.between(900, 32_000),
            one(rng, USERS),
            address(rng),
            rng.between(1024, 65_535)
        ),
    }
}
