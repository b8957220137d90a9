//! Numbers from an independent computation: Python's `statistics` (NormalDist, variance, stdev).

use super::*;

fn close(is: f64, should: f64, within: f64) {
    assert!((is - should).abs() <= within, "{is} is not {should}");
}

#[test]
fn the_normal_distribution_is_that_of_an_independent_library() {
    // NormalDist().cdf(x)
    for (x, should) in [
        (-6.0, 9.865876449133282e-10),
        (-1.96, 0.024997895148220428),
        (-0.3, 0.3820885778110474),
        (0.0, 0.5),
        (1.0, 0.8413447460685429),
        (2.5, 0.9937903346742238),
        (9.0, 1.0),
        (-9.0, 0.0),
    ] {
        close(normal_cdf(x), should, 1e-15);
    }
    // NormalDist().inv_cdf(p); at the ends Φ has fewer digits left to go by.
    for (p, should, within) in [
        (1e-6, -4.753424308822899, 1e-9),
        (0.025, -1.9599639845400538, 1e-13),
        (0.5, 0.0, 1e-13),
        (0.9, 1.2815515655446008, 1e-13),
        (0.999999, 4.753424308817089, 1e-9),
    ] {
        close(normal_quantile(p), should, within);
    }
    assert!(normal_cdf(f64::NAN).is_nan());
}

const RETURNS: [f64; 12] = [
    0.01, -0.004, 0.007, 0.002, -0.006, 0.011, 0.003, -0.001, 0.005, -0.003, 0.008, 0.0,
];
const SHARPES: [f64; 5] = [0.2785, 0.05, -0.1, 0.31, 0.12];

#[test]
fn the_deflated_ratio_falls_with_the_number_of_trials() {
    close(sharpe(&RETURNS).unwrap(), 0.47365252839455746, 1e-12);
    let moments = Moments::of(&RETURNS).unwrap();
    close(moments.skewness, 0.01123274939575446, 1e-12);
    close(moments.kurtosis, 1.7556090944653038, 1e-12);
    let spread = deviation(&SHARPES).unwrap();
    close(expected_maximum(5) * spread, 0.20118975965120772, 1e-12);
    close(expected_maximum(1000) * spread, 0.5491366839092005, 1e-11);
    let deflated = |trials| deflated_sharpe(&RETURNS, &SHARPES, trials).unwrap();
    close(deflated(1), 0.9385365471532408, 1e-12);
    close(deflated(5), 0.812558482850996, 1e-12);
    close(deflated(1000), 0.4029035223444885, 1e-11);
}

/// The paper's own example: an annualised ratio of 2.5 over five years of 250 days, the best of 100
/// trials whose annualised ratios have a variance of 0.5, skewness −3 and kurtosis 10. It gives
/// SR₀ = 0.1132 and a deflated ratio of 0.9004.
#[test]
fn the_example_of_the_paper() {
    let ratio = 2.5 / 250_f64.sqrt();
    let expected = (0.5_f64 / 250.0).sqrt() * expected_maximum(100);
    close(expected, 0.11317200186513214, 1e-12);
    let moments = Moments {
        mean: 0.0,
        deviation: 1.0,
        skewness: -3.0,
        kurtosis: 10.0,
    };
    let deflated = probability(ratio, expected, &moments, 1250).unwrap();
    close(deflated, 0.9003968344493904, 1e-10);
}

#[test]
fn what_is_not_defined_is_absent() {
    assert_eq!(sharpe(&[0.01]), None);
    assert_eq!(sharpe(&[0.01, 0.01, 0.01]), None, "no variation");
    assert_eq!(deflated_sharpe(&[0.0; 9], &SHARPES, 5), None);
    assert_eq!(deflated_sharpe(&RETURNS, &[0.1], 5), None);
    assert_eq!(deflated_sharpe(&RETURNS, &SHARPES, 0), None);
    assert!(deflated_sharpe(&RETURNS, &[], 1).is_some());
}

#[test]
fn returns_are_taken_at_equal_steps_of_the_window() {
    let hour = |h: i64| Timestamp::from_millis(h * HOUR);
    let usd = |amount: i32| Usdc::whole(amount);
    let window = Window {
        from: hour(10),
        to: hour(14),
    };
    // Steps 10-11, 11-12, 12-13, 13-14 and the moment 14:00 itself. 1000 → 1100 by 10:30, nothing
    // until 12:00 where it falls to 990 and then 880, then 968 at the very end.
    let curve = [
        (hour(10).plus_millis(HOUR / 2), usd(1100)),
        (hour(12), usd(990)),
        (hour(12).plus_millis(1), usd(880)),
        (hour(14), usd(968)),
    ];
    let found = returns(&curve, usd(1000), &window, HOUR);
    assert_eq!(found.len(), 5);
    for (is, should) in found.iter().zip([0.1, 0.0, -0.2, 0.0, 0.1]) {
        close(*is, should, 1e-12);
    }
    assert_eq!(returns(&[], usd(1000), &window, HOUR), [0.0; 5]);
    assert_eq!(step_for(10 * DAY), HOUR);
    assert_eq!(step_for(10 * DAY + 1), DAY);
    close(steps_per_year(DAY), 365.25, 1e-12);
}
