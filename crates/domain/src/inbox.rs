//! Messages of other systems: each has one effect, however often it comes, and numbered ones in whatever order.
//!
//! A sender may number what it says of one customer: 1, 2, 3, … A numbered message waits for the one before it,
//! for a while. What is still missing then is given up: should it come later, it is passed over, since it must not
//! undo what came after it. So a message of the past never has an effect on a present it knows nothing of.
//! Messages without a number count in the order in which they arrive.

/// What has become of a number of a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nothing was heard of it.
    Open,
    Heeded,
    /// A later one was heeded after waiting for this one in vain.
    GivenUp,
}

/// What to do about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Heed,
    /// It was heeded before.
    Repeat,
    /// It was given up: passed over.
    TooLate,
    /// The one before it is missing: wait.
    TooEarly,
    /// The ones before it are missing and waited for long enough: give them up, then heed it.
    GiveUp,
}

/// Whose turn it is, by what has become of a message and of the one before it; the first has none before it, which
/// is as good as heeded.
pub fn turn(this: Place, before: Place, patient: bool) -> Turn {
    match (this, before, patient) {
        (Place::Heeded, _, _) => Turn::Repeat,
        (Place::GivenUp, _, _) => Turn::TooLate,
        (Place::Open, Place::Heeded | Place::GivenUp, _) => Turn::Heed,
        (Place::Open, Place::Open, true) => Turn::TooEarly,
        (Place::Open, Place::Open, false) => Turn::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use super::Place::{GivenUp, Heeded, Open};
    use super::Turn::{GiveUp, Heed, Repeat, TooEarly, TooLate};
    use super::*;

    #[test]
    fn a_message_has_its_turn_once() {
        for (this, before, patient, expected) in [
            (Open, Heeded, true, Heed),
            (Open, Heeded, false, Heed),
            (Open, GivenUp, true, Heed),
            (Open, GivenUp, false, Heed),
            (Open, Open, true, TooEarly),
            (Open, Open, false, GiveUp),
            (Heeded, Heeded, true, Repeat),
            (Heeded, Open, true, Repeat), // the one before it has been forgotten since
            (Heeded, Open, false, Repeat),
            (Heeded, GivenUp, true, Repeat),
            (GivenUp, Heeded, true, TooLate),
            (GivenUp, Open, true, TooLate),
            (GivenUp, GivenUp, false, TooLate),
        ] {
            assert_eq!(turn(this, before, patient), expected, "{this:?} after {before:?}, patient: {patient}");
        }
    }

    /// The numbers that were heeded, in the order in which they were. Who waits is asked again in the order of the numbers,
    /// and nobody waits longer than one with a higher number.
    fn heeded(arrivals: &[usize], patience: usize) -> Vec<usize> {
        let mut places = [Heeded, Open, Open, Open, Open];
        let (mut order, mut waiting) = (Vec::new(), Vec::<(usize, usize)>::new());
        for arrival in arrivals.iter().copied().map(Some).chain((0..=patience).map(|_| None)) {
            waiting.iter_mut().for_each(|(_, left)| *left = left.saturating_sub(1));
            waiting.extend(arrival.map(|n| (n, patience)));
            waiting.sort_unstable();
            let all = waiting.clone();
            waiting.retain(|(n, _)| {
                let patient = all.iter().filter(|(m, _)| m >= n).all(|(_, left)| *left > 0);
                let mut now = turn(places[*n], places[*n - 1], patient);
                if now == GiveUp {
                    places[1..*n].iter_mut().filter(|p| **p == Open).for_each(|p| *p = GivenUp);
                    now = turn(places[*n], places[*n - 1], patient);
                }
                if now == Heed {
                    places[*n] = Heeded;
                    order.push(*n);
                }
                now == TooEarly
            });
        }
        assert!(waiting.is_empty(), "{arrivals:?}: {waiting:?} wait for ever");
        order
    }

    /// Six arrivals of four messages, in every order: some come several times, some never.
    #[test]
    fn in_every_order_each_is_heeded_at_most_once_and_never_after_a_later_one() {
        let mut arrivals = [0; 6];
        for n in 0..4_usize.pow(6) {
            arrivals.iter_mut().enumerate().for_each(|(at, a)| *a = n / 4_usize.pow(u32::try_from(at).expect("small")) % 4 + 1);
            for patience in [0, 2, 10] {
                let order = heeded(&arrivals, patience);
                assert!(order.windows(2).all(|pair| pair[0] < pair[1]), "{arrivals:?}, patience {patience}: {order:?}");
                let mut came: Vec<_> = arrivals.to_vec();
                came.sort_unstable();
                came.dedup();
                assert!(patience < 10 || order == came, "{arrivals:?}: with patience all that came are heeded: {order:?}");
            }
        }
    }
}
