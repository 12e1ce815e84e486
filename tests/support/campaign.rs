//! How much of a long campaign runs: little in an ordinary test run, all of it by
//! `scripts/campaign`, which sets these variables.

/// `MARKENMATE_CAMPAIGN_<NAME>`, else the ordinary figure.
pub fn figure(name: &str, ordinary: u32) -> u32 {
    let variable = format!("MARKENMATE_CAMPAIGN_{name}");
    super::env().var(&variable).map_or(ordinary, |text| text.parse().expect(&variable))
}

/// One line for the campaign's summary.
pub fn tell(line: &str) {
    println!("campaign: {line}");
}
