//! Books and headings in the database, and the snapshot of them in memory.

use crate::columns::{Id, Parameter, int, lent, limit, parameters, uint};
use crate::commit::{Write, commit};
use crate::fault::Fault;
use crate::limits::COPY_AGE_MAX;
use crate::search::{book_words, heading_words};
use crate::stock::{Levels, Moves};
use crate::{PgStore, answers, queries};
use app::ports::{Answer, BookWrite, Catalog, CatalogChange, CatalogSaved, Freshness, HeadingWrite, PortError};
use app::snapshot::Snapshot;
use async_trait::async_trait;
use domain::catalog::{Book, Heading, HeadingId};
use domain::ids::{BookId, EditionId, Sku, Version};
use domain::pricing::PriceLine;
use domain::stock::StockLevel;
use domain::time::Timestamp;
use std::sync::Arc;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

const PORT: &str = "catalog";

/// A change as `save_catalog` takes it, its records made where the caller is.
struct Saving {
    /// All but the first, which is the id of the commit.
    parameters: Vec<Parameter>,
    stock: Moves,
    answer: Option<Answer>,
}

impl Saving {
    fn of(change: &CatalogChange, now: Timestamp) -> Self {
        let (headings, gone_headings) = split_headings(&change.headings);
        let (books, gone_books) = split_books(&change.books);
        let stock = Moves::of(change.stock.clone());
        let mut parameters = parameters![now.0];
        parameters.extend(answers::parameters(change.answer.as_ref()));
        parameters.extend(heading_parameters(&headings));
        parameters.extend(parameters![
            gone_headings.iter().map(|(id, _)| id.kind.prefix()).collect::<Vec<_>>(),
            gone_headings.iter().map(|(id, _)| Id(id.bits)).collect::<Vec<_>>(),
            gone_headings.iter().map(|(_, expected)| int(expected.0)).collect::<Vec<_>>(),
        ]);
        parameters.extend(book_parameters(&books));
        parameters.extend(parameters![
            gone_books.iter().map(|(id, _)| Id(id.0)).collect::<Vec<_>>(),
            gone_books.iter().map(|(_, expected)| int(expected.0)).collect::<Vec<_>>(),
        ]);
        parameters.extend(stock.parameters());
        parameters.extend(parameters![
            change.prices.iter().map(|line| Id(line.edition.0)).collect::<Vec<_>>(),
            change.prices.iter().map(records::encode_price_line).collect::<Vec<_>>(),
            change.outbox.iter().map(records::encode_outgoing).collect::<Vec<_>>(),
        ]);
        Self { parameters, stock, answer: change.answer.clone() }
    }
}

type Put<'a, T> = Vec<(&'a T, Version)>;
type Gone<I> = Vec<(I, Version)>;

fn split_headings(writes: &[HeadingWrite]) -> (Put<'_, Heading>, Gone<HeadingId>) {
    let (mut put, mut gone) = (Vec::new(), Vec::new());
    for write in writes {
        match write {
            HeadingWrite::Put { heading, expected } => put.push((&**heading, *expected)),
            HeadingWrite::Delete { id, expected } => gone.push((*id, *expected)),
        }
    }
    (put, gone)
}

fn split_books(writes: &[BookWrite]) -> (Put<'_, Book>, Gone<BookId>) {
    let (mut put, mut gone) = (Vec::new(), Vec::new());
    for write in writes {
        match write {
            BookWrite::Put { book, expected } => put.push((&**book, *expected)),
            BookWrite::Delete { id, expected } => gone.push((*id, *expected)),
        }
    }
    (put, gone)
}

/// Names are compared in lower case.
fn heading_parameters(put: &Put<'_, Heading>) -> Vec<Parameter> {
    parameters![
        put.iter().map(|(heading, _)| heading.id.kind.prefix()).collect::<Vec<_>>(),
        put.iter().map(|(heading, _)| Id(heading.id.bits)).collect::<Vec<_>>(),
        put.iter().map(|(_, expected)| int(expected.0)).collect::<Vec<_>>(),
        put.iter().map(|(heading, _)| int(heading.version.0)).collect::<Vec<_>>(),
        put.iter().map(|(heading, _)| heading.name.as_str().to_lowercase()).collect::<Vec<_>>(),
        put.iter().map(|(heading, _)| heading_words(heading)).collect::<Vec<_>>(),
        put.iter().map(|(heading, _)| records::encode_heading(heading)).collect::<Vec<_>>(),
    ]
}

/// Books, the headings they are under, and their editions.
fn book_parameters(put: &Put<'_, Book>) -> Vec<Parameter> {
    let under = || put.iter().flat_map(|(book, _)| book.headings().map(|heading| (Id(book.id.0), heading)));
    let editions = || put.iter().flat_map(|(book, _)| book.editions.iter().map(|edition| (Id(book.id.0), edition)));
    parameters![
        put.iter().map(|(book, _)| Id(book.id.0)).collect::<Vec<_>>(),
        put.iter().map(|(_, expected)| int(expected.0)).collect::<Vec<_>>(),
        put.iter().map(|(book, _)| int(book.version.0)).collect::<Vec<_>>(),
        put.iter().map(|(book, _)| book_words(book)).collect::<Vec<_>>(),
        put.iter().map(|(book, _)| records::encode_book(book)).collect::<Vec<_>>(),
        under().map(|(book, _)| book).collect::<Vec<_>>(),
        under().map(|(_, heading)| heading.kind.prefix()).collect::<Vec<_>>(),
        under().map(|(_, heading)| Id(heading.bits)).collect::<Vec<_>>(),
        editions().map(|(_, edition)| Id(edition.id.0)).collect::<Vec<_>>(),
        editions().map(|(book, _)| book).collect::<Vec<_>>(),
        editions().map(|(_, edition)| edition.sku.to_string()).collect::<Vec<_>>(),
    ]
}

impl Write for Saving {
    const QUERY: &str = queries::catalog::save;
    type Outcome = (CatalogSaved, Levels);

    fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        lent(&self.parameters).collect()
    }

    fn happened(&self) -> Self::Outcome {
        (CatalogSaved::Done, Levels::new())
    }

    fn outcome(&self, row: &Row) -> Result<Self::Outcome, Fault> {
        let saved = match row.try_get::<_, Option<&str>>("outcome")? {
            None => {
                let levels: Option<Vec<i64>> = row.try_get("levels")?;
                return Ok((CatalogSaved::Done, self.stock.levels(&levels.unwrap_or_default())));
            }
            Some("answered") => CatalogSaved::Answered(answers::first(self.answer.as_ref(), row)?),
            Some("conflict") => CatalogSaved::Conflict,
            Some("name taken") => CatalogSaved::NameTaken,
            Some("sku taken") => {
                CatalogSaved::SkuTaken(Sku::parse(row.try_get("taken")?).expect("invariant: it is one of those that were given"))
            }
            Some("referenced") => CatalogSaved::Referenced(uint(row.try_get("books")?)),
            Some("stock short") => {
                let short = self.stock.short(&row.try_get::<_, Vec<i64>>("short")?);
                CatalogSaved::StockShort { available: short.first().map_or(0, |short| short.available) }
            }
            Some(other) => return Err(Fault::Unheard(other.to_owned())),
        };
        Ok((saved, Levels::new()))
    }
}

#[async_trait]
impl Catalog for PgStore {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.copy().snapshot()
    }

    fn level(&self, edition: EditionId) -> StockLevel {
        self.copy().level(edition)
    }

    fn changes(&self) -> u64 {
        self.copy().changes()
    }

    fn freshness(&self) -> Freshness {
        if self.copy().age() <= COPY_AGE_MAX { Freshness::Fresh } else { Freshness::Stale }
    }

    async fn save(&self, change: CatalogChange, now: Timestamp) -> Result<CatalogSaved, PortError> {
        let saving = Saving::of(&change, now);
        let (saved, levels) = commit(self.primary(), &saving, now).await.map_err(|fault| fault.of_write(PORT))?;
        self.copy().moved(&levels);
        self.show(PORT, matches!(saved, CatalogSaved::Done | CatalogSaved::Answered(_))).await?;
        Ok(saved)
    }

    async fn prices(&self, edition: EditionId, before: Option<u64>, most: usize) -> Result<Vec<(u64, PriceLine)>, PortError> {
        let found =
            self.replica().read(queries::catalog::price_lines, &[&Id(edition.0), &before.map_or(i64::MAX, int), &limit(most)]).await;
        let line = |row: &Row| Ok((uint(row.try_get("place")?), records::decode_price_line(row.try_get("body")?)?));
        found.and_then(|rows| rows.iter().map(line).collect()).map_err(|fault| fault.without_effect(PORT))
    }

    async fn answer(&self, key: [u8; 16]) -> Result<Option<Answer>, PortError> {
        self.answer_to(PORT, key).await
    }
}
