//! Real servers: `scripts/servers.sh cargo test -p array-format --test servers` starts them and says where they are. Without it every test
//! here says that it was skipped.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "tests, and the processes that they start"
)]

mod commits;
mod errors;
mod faults;
mod kills;
mod large;
mod reads;
mod storages;
mod workers;

use array_format_testkit::servers::{self, HONEST, address, direct, fresh, place, store};
