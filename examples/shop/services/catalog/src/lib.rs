//! Products and categories, read through a cache.
