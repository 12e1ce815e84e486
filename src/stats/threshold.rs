//! `--threshold ID=VALUE`: where a metric is over.

use super::registry::{self, Limit, Metric};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// Of which metric.
    pub metric: &'static Metric,
    /// In its unit; none: it is never over.
    pub value: Option<f64>,
}

impl Threshold {
    /// Reads the flag's value.
    ///
    /// # Errors
    /// No such metric, or no value of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (id, value) =
            text.split_once('=').ok_or("write ID=VALUE, for example audit-insert=5")?;
        let metric = registry::find(id)?;
        if value == "none" {
            return Ok(Self { metric, value: None });
        }
        let value = metric.unit.parse(value).ok_or_else(|| {
            let like = metric.unit.shown(metric.limit.value().unwrap_or(1.0)).replace(' ', "");
            let like = like.trim_end_matches("/day");
            format!("{value:?} is no threshold for {id}: write a value such as {like}, or none")
        })?;
        Ok(Self { metric, value: Some(value) })
    }
}

/// Where a metric is over: as the last of `given` says, else as the registry has it.
pub fn limit(metric: &Metric, given: &[Threshold]) -> Limit {
    let given = given.iter().rev().find(|threshold| threshold.metric == metric);
    given.map_or(metric.limit, |threshold| metric.limit.at(threshold.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_counts() {
        let of = |text| Threshold::parse(text).unwrap();
        let audit = registry::find("audit-insert").unwrap();
        assert_eq!(limit(audit, &[]), Limit::Over(10.0));
        assert_eq!(limit(audit, &[of("audit-insert=5"), of("audit-insert=7ms")]), Limit::Over(7.0));
        assert_eq!(limit(audit, &[of("audit-insert=none")]), Limit::Open);
        let ids = registry::find("correlation-ids").unwrap();
        for half in ["50%", "50", "0.5"] {
            let half = Threshold::parse(&format!("correlation-ids={half}")).unwrap();
            assert_eq!(limit(ids, &[half]), Limit::Under(0.5));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let said = |text| Threshold::parse(text).unwrap_err();
        assert!(said("audit-insert").contains("ID=VALUE"));
        assert!(said("nothing=1").contains("audit-insert"));
        assert!(said("audit-insert=fast").contains("10.00ms"));
        assert!(said("correlation-ids=500%").contains("100%"), "{}", said("correlation-ids=500%"));
        assert!(said("audit-oldest=10").contains("no threshold"));
        assert!(said("backup-age=-1").contains("1d1h"), "{}", said("backup-age=-1"));
    }
}
