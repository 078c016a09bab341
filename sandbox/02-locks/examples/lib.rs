//! The examples of the locks topic share nothing. Cargo wants a library in a package that holds
//! nothing but examples.
