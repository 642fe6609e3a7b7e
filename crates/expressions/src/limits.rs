//! What a condition may be at most, each with its reason.

/// Brackets inside brackets. A deeper condition is not readable, and each level takes 11 KB of the parser's stack
/// (measured, optimized; 30 levels without optimization take 5 MB).
pub const NESTING_MAX: u16 = 16;
/// Operators, points and brackets, also those in texts. In a row each takes 1.1 KB of the parser's stack; 2,000 characters of real
/// conditions have about 200.
pub const OPERATORS_MAX: usize = 500;
/// Levels of the tree that is made of a condition: terms of a sum, parts of a name and brackets add up.
pub const DEPTH_MAX: usize = 64;
/// Steps one evaluation may take, counted for the largest cart. A step takes 10 to 35 ns (`docs/performance.md`), up to twice that
/// without link-time optimization, so that no condition takes longer than about a millisecond. One `exists` over all lines with
/// five comparisons takes 25,000 steps; a second one inside it takes hundreds of times as many.
pub const STEPS_MAX: u64 = 30_000;
/// Characters of a text an author writes: as many as the longest fact it can be compared with, a city, may have.
pub const TEXT_MAX: usize = domain::limits::NAME_MAX;
/// Bytes of a name an author gives to an element.
pub const LOCAL_MAX: usize = 64;
/// Segments of a shopper: as many as a rule can name.
pub const SEGMENTS_MAX: usize = domain::limits::RULE_PARTS_MAX;
/// Conditions that are kept compiled: more than a shop has promotions at a time.
pub const COMPILED_MAX: usize = 1000;
