//! The numbers come from scikit-learn 1.9.1, asked once with:
//!
//! ```python
//! def data(n, seed, true):                      # the same generator as below
//!     x = seed; out = []
//!     def u():
//!         nonlocal x; x = (1103515245 * x + 12345) % 2**31; return x / 2**31
//!     for _ in range(n):
//!         p = round(0.02 + 0.96 * u(), 2); out.append((p, float(u() < true(p))))
//!     return np.array(out)
//! L = lambda p: np.log(p / (1 - p))
//! def targets(y, w):
//!     a, b = (w * y).sum(), (w * (1 - y)).sum()
//!     return y * (a + 1) / (a + 2) + (1 - y) / (b + 2)
//! def platt(p, y, w):                           # a soft target is two weighted samples
//!     t = targets(y, w); m = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-13)
//!     m.fit(L(np.r_[p, p])[:, None], np.r_[np.ones_like(p), np.zeros_like(p)],
//!           sample_weight=np.r_[w * t, w * (1 - t)]); return m.coef_, m.intercept_
//! def iso(p, y, w):
//!     return IsotonicRegression(out_of_bounds="clip").fit(p, targets(y, w), sample_weight=w)
//! # cross-validated gain: fold = arange(n) * 10 // n; log loss as stated − log loss of the map
//! # fitted from the other folds, clipped to 0.001–0.999; mean, and std(ddof=1) / sqrt(n)
//! ```

use proptest::prelude::*;

use super::*;
use crate::domain::calibration::logit;

/// One estimate in each of `n` markets, whose outcomes happen with `truth(stated)`.
fn author(n: usize, seed: u64, truth: impl Fn(f64) -> f64) -> Vec<Vec<Sample>> {
    let mut state = seed;
    let mut next = || {
        state = (1_103_515_245 * state + 12_345) % (1 << 31);
        state as f64 / (1_u64 << 31) as f64
    };
    (0..n)
        .map(|_| {
            let stated = ((0.02 + 0.96 * next()) * 100.0).round() / 100.0;
            let happened = f64::from(next() < truth(stated));
            vec![Sample {
                stated,
                happened,
                weight: 1.0,
            }]
        })
        .collect()
}

fn logistic(slope: f64, shift: f64) -> impl Fn(f64) -> f64 {
    move |p| 1.0 / (1.0 + (-(slope * logit(p) + shift)).exp())
}

/// True chance 0.1 below 0.7 and 0.9 above: no curve of Platt's.
fn step(p: f64) -> f64 {
    if p < 0.7 { 0.1 } else { 0.9 }
}

fn close(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-6, "{a} is not {b}");
}

#[track_caller]
fn is_platt(map: Option<Calibration>, slope: f64, intercept: f64) {
    let Some(Calibration::Platt {
        slope: s,
        intercept: i,
    }) = map
    else {
        panic!("{map:?}");
    };
    close(s, slope);
    close(i, intercept);
}

#[test]
fn platt_is_what_scikit_learn_fits() {
    let flat = |markets: Vec<Vec<Sample>>| markets.concat();
    let over_sure = flat(author(120, 1, logistic(0.4, -0.3)));
    is_platt(
        platt::fit(&over_sure),
        0.488_098_607_939_012,
        -0.305_679_412_752_873,
    );
    let honest = flat(author(120, 1, logistic(1.0, 0.0)));
    is_platt(
        platt::fit(&honest),
        1.118_896_718_467_768,
        -0.077_190_611_594_851,
    );
    is_platt(
        platt::fit(&weighted()),
        0.175_028_760_525_363,
        0.140_183_070_181_01,
    );
}

/// With ties, weights and a payout of a half.
fn weighted() -> Vec<Sample> {
    [
        (0.2, 0.0, 0.5),
        (0.2, 1.0, 1.0),
        (0.5, 0.5, 1.0),
        (0.7, 1.0, 0.25),
        (0.7, 0.0, 0.75),
        (0.9, 1.0, 1.0),
        (0.35, 0.0, 0.5),
    ]
    .map(|(stated, happened, weight)| Sample {
        stated,
        happened,
        weight,
    })
    .to_vec()
}

#[test]
fn isotonic_is_what_scikit_learn_fits() {
    let map = isotonic::fit(&weighted()).unwrap();
    for (stated, calibrated) in [
        (0.1, 0.477_747_678_018_576),
        (0.7, 0.477_747_678_018_576),
        (0.9, 0.789_473_684_210_526),
        // Half way between the last two.
        (0.8, 0.633_610_681_114_551),
    ] {
        close(map.apply(stated), calibrated);
    }
    let map = isotonic::fit(&author(300, 7, step).concat()).unwrap();
    for (stated, calibrated) in [
        (0.02, 0.004_926_108_374_384),
        (0.04, 0.080_708_639_261_046),
        (0.12, 0.087_023_850_168_268),
        (0.37, 0.100_265_421_425_346),
        (0.50, 0.108_134_698_058_124),
        (0.69, 0.108_134_698_058_124),
        (0.70, 0.869_688_988_603_294),
        (0.99, 0.869_688_988_603_294),
    ] {
        close(map.apply(stated), calibrated);
    }
}

#[test]
fn gains_out_of_sample_are_what_scikit_learn_gives() {
    let over_sure = author(120, 1, logistic(0.4, -0.3));
    let gain = cross_validated(&over_sure, platt::fit).unwrap();
    close(gain.mean, 0.033_882_237_890_527);
    close(gain.standard_error, 0.030_814_666_887_905);
    let gain = cross_validated(&over_sure, isotonic::fit).unwrap();
    close(gain.mean, 0.014_071_315_379_982);
    close(gain.standard_error, 0.034_502_952_132_471);
    let stepped = author(300, 7, step);
    close(
        cross_validated(&stepped, platt::fit).unwrap().mean,
        0.090_334_752_304_85,
    );
    close(
        cross_validated(&stepped, isotonic::fit).unwrap().mean,
        0.188_851_208_934_449,
    );
}

#[test]
fn the_map_that_does_clearly_better_is_used() {
    // 0.034 is above its standard error of 0.031; the steps' 0.014 is not above 0.035.
    let over_sure = fit(&author(120, 1, logistic(0.4, -0.3)));
    is_platt(Some(over_sure.map), 0.488_098_607_939, -0.305_679_412_753);
    // 0.189 beats 0.090.
    let stepped = fit(&author(300, 7, step));
    assert_eq!(stepped.map.method(), "isotonic");
    close(stepped.gain.unwrap().mean, 0.188_851_208_934_449);
}

#[test]
fn without_a_clear_gain_estimates_are_taken_as_stated() {
    // −0.013 and −0.046: an honest author loses by either map.
    let honest = fit(&author(120, 1, logistic(1.0, 0.0)));
    assert_eq!(honest.map, Calibration::Identity);
    close(honest.gain.unwrap().mean, -0.012_942_938_369_722);
    // An over-sure author of 40 markets, of whom these say too little: −0.004 ± 0.053.
    let few = fit(&author(40, 1, logistic(0.4, -0.3)));
    assert_eq!(few.map, Calibration::Identity);
    close(few.gain.unwrap().mean, -0.003_784_052_889_966);
}

#[test]
fn an_author_who_is_always_wrong_is_not_turned_round_by_a_curve() {
    let contrary = author(120, 1, |p| 1.0 - p).concat();
    assert_eq!(platt::fit(&contrary), None);
}

fn any_markets(least: usize, most: usize) -> impl Strategy<Value = Vec<Vec<Sample>>> {
    let sample = (0.001..0.999_f64, prop::sample::select(vec![0.0, 0.5, 1.0]));
    let market = prop::collection::vec(sample, 1..4).prop_map(|samples| {
        let weight = 1.0 / samples.len() as f64;
        samples
            .into_iter()
            .map(|(stated, happened)| Sample {
                stated,
                happened,
                weight,
            })
            .collect()
    });
    prop::collection::vec(market, least..most)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_map_stays_inside_and_never_falls(
        markets in any_markets(1, 80),
        mut at in prop::collection::vec(0.000_001..0.999_999_f64, 2..20),
    ) {
        let all = markets.concat();
        at.sort_by(f64::total_cmp);
        for map in [platt::fit(&all), isotonic::fit(&all), Some(fit(&markets).map)] {
            let Some(map) = map else { continue };
            let mapped: Vec<f64> = at.iter().map(|p| map.apply(*p)).collect();
            prop_assert!(mapped.iter().all(|p| *p > 0.0 && *p < 1.0), "{map:?} {mapped:?}");
            prop_assert!(mapped.is_sorted_by(|a, b| *a <= *b + 1e-12), "{map:?} {mapped:?}");
        }
    }

    #[test]
    fn under_thirty_markets_nothing_is_fitted(markets in any_markets(0, 30)) {
        let fitted = fit(&markets);
        prop_assert_eq!(fitted.map, Calibration::Identity);
        prop_assert_eq!(fitted.gain, None);
        prop_assert_eq!(fitted.resolved, markets.len() as u64);
    }

    /// What is used did better than the statements on what it was not fitted from.
    #[test]
    fn nothing_is_used_that_was_not_better(markets in any_markets(30, 60)) {
        let fitted = fit(&markets);
        let gain = fitted.gain;
        let better = gain.is_some_and(|g| g.mean > 0.0 && g.mean > g.standard_error);
        prop_assert_eq!(fitted.map != Calibration::Identity, better);
    }
}
