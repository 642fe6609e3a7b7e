//! A cart as the fields of its hash, and what of them a change has to write.
//!
//! | field | what it is |
//! |---|---|
//! | `v`, `x` | version; when it expires, in microseconds: what the functions look at |
//! | `w` | the last writes: of each, the version it was made on and its name; the newest first |
//! | `o` | the key of its owner's pointer |
//! | `s` | there while a transaction has sealed it |
//! | `h`, `d` | head and details (`records`) |
//! | `i` + id | an item, after its rank |
//! | `k` + key | a remembered idempotency key, after its rank |
//!
//! Ranks put items in their order. They have gaps, so that an item that goes or comes leaves the others' fields alone.

use domain::cart::{Cart, Item, OnceMark};
use domain::ids::Version;
use records::Damaged;
use std::collections::HashMap;
use std::sync::Arc;

/// The name of one write, given by chance: its own try is known by it when it is made again.
pub type WriteName = [u8; 8];

pub type Field = (Vec<u8>, Vec<u8>);

/// A stored cart, and what has to be known of its fields to change them one by one.
#[derive(Clone, Debug)]
pub struct Stored {
    pub cart: Arc<Cart>,
    /// The write that made it so.
    pub write: WriteName,
    items: Vec<u32>,
    marks: Vec<u32>,
}

/// What a read of a hash found.
#[derive(Debug)]
pub struct Found {
    pub stored: Stored,
    pub is_sealed: bool,
}

/// What to write.
#[derive(Clone, Debug, Default)]
pub struct Difference {
    pub set: Vec<Field>,
    pub delete: Vec<Vec<u8>>,
}

/// A list of a cart, of which each element has a field of its own.
struct List<T: 'static> {
    /// What the names of the fields start with.
    kind: u8,
    /// The rest of an element's name.
    key: fn(&T) -> [u8; 16],
    encode: fn(&T) -> Vec<u8>,
}

const ITEMS: List<Item> = List { kind: b'i', key: |item| item.id.0.to_be_bytes(), encode: records::encode_cart_item };
const MARKS: List<OnceMark> = List { kind: b'k', key: |mark| mark.key, encode: records::encode_cart_mark };

/// Elements in their order, and their ranks.
type Ranked<'a, T> = (&'a [T], &'a [u32]);

impl<T: PartialEq> List<T> {
    fn name(&self, key: [u8; 16]) -> Vec<u8> {
        [&[self.kind][..], &key].concat()
    }

    /// How many at the beginning are the same elements still, as they are now: in most changes all but the last.
    fn kept(&self, now: &[T], had: &[T]) -> usize {
        now.iter().zip(had).take_while(|(now, had)| (self.key)(now) == (self.key)(had)).count()
    }

    /// Ranks in the order of the list: the one an element had, where that is still after the one before.
    fn ranks(&self, now: &[T], (had, had_ranks): Ranked<'_, T>) -> Vec<u32> {
        let kept = self.kept(now, had);
        let mut ranks = Vec::with_capacity(now.len());
        ranks.extend_from_slice(&had_ranks[..kept]);
        let old: HashMap<_, u32> = had[kept..].iter().map(self.key).zip(had_ranks[kept..].iter().copied()).collect();
        let mut last = ranks.last().copied().unwrap_or(0);
        ranks.extend(now[kept..].iter().map(|element| {
            last = old.get(&(self.key)(element)).copied().filter(|rank| *rank > last).unwrap_or(last + 1);
            last
        }));
        ranks
    }

    /// What to write so that `had` becomes `now`, whose ranks were made from it.
    fn change(&self, (now, now_ranks): Ranked<'_, T>, (had, had_ranks): Ranked<'_, T>, difference: &mut Difference) {
        let kept = self.kept(now, had);
        let mut set = |element, rank: u32| {
            let value = [&rank.to_be_bytes()[..], &(self.encode)(element)].concat();
            difference.set.push((self.name((self.key)(element)), value));
        };
        for ((element, before), rank) in now.iter().zip(had).zip(now_ranks).take(kept) {
            if element != before {
                set(element, *rank);
            }
        }
        let mut old: HashMap<_, _> = had[kept..].iter().zip(&had_ranks[kept..]).map(|before| ((self.key)(before.0), before)).collect();
        for (element, rank) in now.iter().zip(now_ranks).skip(kept) {
            if old.remove(&(self.key)(element)) != Some((element, rank)) {
                set(element, *rank);
            }
        }
        difference.delete.extend(old.into_keys().map(|key| self.name(key)));
    }
}

impl Stored {
    /// A cart that is written whole, and what that is.
    pub fn whole(cart: Arc<Cart>, owner_key: &str, write: WriteName) -> (Self, Difference) {
        let stored = Self::ranked(cart, (&[], &[]), (&[], &[]), write);
        let mut difference = Difference::default();
        difference.set.push((b"o".to_vec(), owner_key.as_bytes().to_vec()));
        difference.set.push((b"d".to_vec(), records::encode_cart_details(&stored.cart)));
        stored.write_changes((&[], &[]), (&[], &[]), &mut difference);
        (stored, difference)
    }

    /// What this cart becomes, and what has to be written for it.
    pub fn change(&self, cart: Arc<Cart>, write: WriteName) -> (Self, Difference) {
        let had = &*self.cart;
        let stored = Self::ranked(cart, (&had.items, &self.items), (&had.marks, &self.marks), write);
        let mut difference = Difference::default();
        let now = &*stored.cart;
        let same = (&now.coupons, &now.note, &now.metadata, &now.merged) == (&had.coupons, &had.note, &had.metadata, &had.merged);
        if !same {
            difference.set.push((b"d".to_vec(), records::encode_cart_details(now)));
        }
        stored.write_changes((&had.items, &self.items), (&had.marks, &self.marks), &mut difference);
        (stored, difference)
    }

    fn ranked(cart: Arc<Cart>, items: Ranked<'_, Item>, marks: Ranked<'_, OnceMark>, write: WriteName) -> Self {
        let (items, marks) = (ITEMS.ranks(&cart.items, items), MARKS.ranks(&cart.marks, marks));
        Self { cart, write, items, marks }
    }

    fn write_changes(&self, items: Ranked<'_, Item>, marks: Ranked<'_, OnceMark>, difference: &mut Difference) {
        difference.set.push((b"h".to_vec(), records::encode_cart_head(&self.cart)));
        ITEMS.change((&self.cart.items, &self.items), items, difference);
        MARKS.change((&self.cart.marks, &self.marks), marks, difference);
    }

    /// The cart of a hash; `None` when there is none, or only the memory of one that was deleted.
    pub fn read(fields: &[Field]) -> Result<Option<Found>, Damaged> {
        let field = |name: &[u8]| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice());
        let (Some(head), Some(details)) = (field(b"h"), field(b"d")) else { return Ok(None) };
        let (item_ranks, items) = ranked_list(fields, ITEMS.kind, records::decode_cart_item)?;
        let (mark_ranks, marks) = ranked_list(fields, MARKS.kind, records::decode_cart_mark)?;
        let cart = Arc::new(records::decode_cart_pieces(head, details, items, marks)?);
        let write = field(b"w").and_then(|writes| writes.get(8..16)?.try_into().ok()).unwrap_or_default();
        Ok(Some(Found { stored: Self { cart, write, items: item_ranks, marks: mark_ranks }, is_sealed: field(b"s").is_some() }))
    }

    /// About what it takes in memory.
    pub fn weight(&self) -> u64 {
        let cart = &*self.cart;
        let texts: usize = cart.metadata.iter().map(|(key, value)| key.as_str().len() + value.as_str().len() + 64).sum();
        (512 + 160 * cart.items.len() + 48 * cart.marks.len() + texts) as u64
    }
}

/// The elements of a kind in the order of their ranks.
fn ranked_list<T>(fields: &[Field], kind: u8, decode: fn(&[u8]) -> Result<T, Damaged>) -> Result<(Vec<u32>, Vec<T>), Damaged> {
    let mut list = Vec::new();
    for (name, value) in fields {
        if name.len() == 17 && name.first() == Some(&kind) {
            let (rank, piece) = value.split_at_checked(4).unwrap_or((&[], &[]));
            list.push((rank.iter().fold(0, |rank, byte| rank << 8 | u32::from(*byte)), decode(piece)?));
        }
    }
    list.sort_by_key(|(rank, _)| *rank);
    Ok(list.into_iter().unzip())
}

/// What the history of writes tells about a write that was made on a version.
pub fn is_another_known(history: &[u8], on: Version) -> bool {
    let entries = history.as_chunks::<16>().0;
    // A history that is not full goes back to the beginning.
    entries.len() < HISTORY_ENTRIES || entries.iter().any(|entry| entry[..8] == on.0.to_be_bytes())
}

/// As many as the functions keep.
const HISTORY_ENTRIES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use conformance::fixtures::{add, at, cart, changed, mark, text};
    use domain::cart::Command;

    /// The fields after a difference.
    fn written(fields: &mut Vec<Field>, difference: Difference) {
        for (name, value) in difference.set {
            fields.retain(|(known, _)| *known != name);
            fields.push((name, value));
        }
        fields.retain(|(known, _)| !difference.delete.contains(known));
    }

    #[test]
    fn a_change_writes_what_it_changes_and_nothing_else() {
        let mut had = cart(1);
        let (mut stored, difference) = Stored::whole(Arc::new(had.clone()), "owner", [1; 8]);
        let mut fields = Vec::new();
        written(&mut fields, difference);
        let items: Vec<_> = (2..=20).map(|n| add(n, 1)).collect();
        let remove = Command::Set { item: had.items[0].id, quantity: None };
        for (what, commands, marked, set, deleted) in [
            ("nineteen items come", items, None, 20, 0),
            ("one of them grows", vec![add(7, 1)], None, 2, 0),
            ("the first goes", vec![remove], None, 1, 1),
            ("a key is remembered", vec![add(8, 1)], Some(1), 3, 0),
            ("another key, a note", vec![Command::Note(Some(text("a note")))], Some(2), 3, 0),
            ("all go", vec![Command::Clear], None, 1, 19),
        ] {
            had = changed(&had, &commands, at(1)).cart;
            if let Some(n) = marked {
                had.remember(mark(n));
            }
            let (next, difference) = stored.change(Arc::new(had.clone()), [2; 8]);
            assert_eq!((difference.set.len(), difference.delete.len()), (set, deleted), "{what}");
            written(&mut fields, difference);
            stored = next;
            let found = Stored::read(&fields).expect("readable").expect("a cart");
            assert_eq!(*found.stored.cart, had, "{what}");
            assert_eq!((&found.stored.items, &found.stored.marks), (&stored.items, &stored.marks), "{what}");
        }
    }

    #[test]
    fn items_keep_their_order_however_they_are_moved() {
        let mut had = changed(&cart(1), &(2..=6).map(|n| add(n, 1)).collect::<Vec<_>>(), at(1)).cart;
        let (mut stored, difference) = Stored::whole(Arc::new(had.clone()), "owner", [1; 8]);
        let mut fields = Vec::new();
        written(&mut fields, difference);
        for round in 0..20 {
            let len = had.items.len();
            had.items.swap(round % len, (round * 3 + 1) % len);
            had.items.rotate_left(round % 4);
            let (next, difference) = stored.change(Arc::new(had.clone()), [2; 8]);
            written(&mut fields, difference);
            stored = next;
            assert_eq!(*Stored::read(&fields).expect("readable").expect("a cart").stored.cart, had, "round {round}");
        }
    }

    #[test]
    fn a_history_that_goes_back_far_enough_tells() {
        let entry = |on: u64, write: u8| [on.to_be_bytes(), [write; 8]].concat();
        let full: Vec<u8> = (0..8).rev().flat_map(|n| entry(10 + n, 1)).collect();
        for (history, on, known) in
            [(vec![], 3, true), (entry(3, 1), 3, true), (entry(9, 1), 3, true), (full.clone(), 10, true), (full, 9, false)]
        {
            assert_eq!(is_another_known(&history, Version(on)), known, "{on}");
        }
    }
}
