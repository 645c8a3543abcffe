//! The real program, as people start, use, stop and kill it. One binary, so that it links once.

mod commands;
mod crashes;
mod logs;
mod monitoring;
mod process;
mod starting;
mod stopping;
