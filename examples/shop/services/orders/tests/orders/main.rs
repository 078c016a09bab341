//! The orders service, asked as others ask it. Those whom it asks in turn are played.

mod contract;
mod guarded;
mod hang_up;
mod lost;
mod peers;
mod recovery;
mod saga;
mod same_wish;
mod says;
mod world;
