//! The payments service, asked as others ask it: over a socket, with the contract's own client.

mod contract;
mod says;
mod trouble;
mod world;
