//! Black-box tests, by page of the specification.
