//! What the shop's services say to each other: types, clients, events, problems.
