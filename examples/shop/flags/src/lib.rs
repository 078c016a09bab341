//! The shop's switches and faults, in the shape of flagd.
