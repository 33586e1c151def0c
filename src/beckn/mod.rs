//! The protocol as it is on the wire: typed models that read what networks really send.

pub mod action;
pub mod answer;
pub mod callback;
pub(crate) mod content;
pub mod context;
pub mod contract;
pub mod error;
pub(crate) mod lax;
pub mod oddity;
pub mod order;
pub mod place;
pub(crate) mod repair;
pub mod scalar;
pub(crate) mod states;
pub mod tags;
pub mod text;
pub mod tracking;
pub mod vocabulary;

#[cfg(test)]
pub(crate) mod tests;
