//! The backend in memory, for tests.
