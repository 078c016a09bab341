//! What the shop tells of itself, and to whom: nothing that is somebody's secret, and nothing less
//! than all that it has recorded.

#[path = "../collector/mod.rs"]
#[allow(dead_code, reason = "of what is shared, each program uses a part")]
mod collector;
mod customers;
mod leaving;
#[path = "../program/mod.rs"]
#[allow(dead_code, reason = "of what is shared, each program uses a part")]
mod program;
mod searcher;
mod secrets;
