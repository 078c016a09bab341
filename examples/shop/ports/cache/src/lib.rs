//! The cache port: moka embedded, or Redis.
