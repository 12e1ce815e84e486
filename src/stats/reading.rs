//! What was read of one metric.

use super::registry::{Limit, Metric};

/// Names and texts, in the statement's order.
pub type Labels = Vec<(String, String)>;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Of what; none where there is one only.
    pub labels: Labels,
    /// In the metric's unit; finite.
    pub value: f64,
}

/// Why nothing was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// What it counts is not there.
    Absent,
    /// The role may not look.
    Denied,
    /// It was tried in vain.
    Broken,
}

/// One metric and what was read of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Which metric.
    pub metric: &'static Metric,
    /// Where it is over.
    pub limit: Limit,
    /// None: there is nothing of it, which is no value either.
    pub samples: Vec<Sample>,
    /// Of what nobody knows the value.
    pub unknown: Vec<Labels>,
    /// Why it was skipped.
    pub skipped: Option<(Why, String)>,
}

impl Reading {
    /// These values.
    pub fn of(metric: &'static Metric, limit: Limit, samples: Vec<Sample>) -> Self {
        Self { metric, limit, samples, unknown: Vec::new(), skipped: None }
    }

    /// None, and why.
    pub fn skipped(
        metric: &'static Metric,
        limit: Limit,
        why: Why,
        reason: impl Into<String>,
    ) -> Self {
        Self { skipped: Some((why, reason.into())), ..Self::of(metric, limit, Vec::new()) }
    }
}
