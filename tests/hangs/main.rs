//! What becomes of the program while a graphics driver hangs: who notices, what is said, and who goes on.
//!
//! The hangs are those of the simulated drivers (`MB_SIM_HANG`, see `tests/sim-ledger/src/setting.rs`): a thread that
//! never returns from a call, in a process that does not get through `exit` either. GL is Mesa's, behind the simulated
//! EGL vendor. Needs `apt install libegl1 libgl1-mesa-dri`.

#[path = "../support/sim.rs"]
mod sim;
#[path = "../support/mod.rs"]
mod support;

mod alone;
mod fifo;
mod http;
mod paused;
mod rehearsal;
mod rig;
mod stopping;
mod supervised;
mod without_nvenc;
