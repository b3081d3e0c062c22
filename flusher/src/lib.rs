//! crlog tool
