//! Stock levels and the ledger of moves behind them, for the two ports that move stock.

use crate::columns::{change, int, uint};
use crate::fault::Fault;
use crate::writer::Turn;
use domain::event::{Event, Outgoing, StockEvent, Subject};
use domain::ids::EditionId;
use domain::stock::{StockLevel, StockMove};
use domain::time::Timestamp;
use domain::trace::TraceContext;
use foldhash::HashMap;
use rusqlite::{Connection, OptionalExtension, Row};

pub type Levels = Vec<(EditionId, StockLevel)>;

/// What a move came to.
pub enum Moved {
    /// The level after it.
    To(StockLevel),
    /// Its cause was applied to this edition before.
    Before,
    Short {
        available: u32,
    },
}

pub fn level(on: &Connection, edition: EditionId) -> Result<StockLevel, Fault> {
    let sql = "SELECT on_hand, reserved, moves FROM stock WHERE edition = ?1";
    let level = on.prepare_cached(sql)?.query_row([edition.0.to_be_bytes()], |row| level_of(row, 0)).optional()?;
    Ok(level.unwrap_or_default())
}

fn level_of(row: &Row<'_>, first: usize) -> rusqlite::Result<StockLevel> {
    let moves: i64 = row.get(first + 2)?;
    Ok(StockLevel { on_hand: row.get(first)?, reserved: row.get(first + 1)?, moves: uint(moves) })
}

pub fn levels(on: &Connection) -> rusqlite::Result<HashMap<EditionId, StockLevel>> {
    let mut statement = on.prepare("SELECT edition, on_hand, reserved, moves FROM stock")?;
    let rows = statement.query_map((), |row| Ok((EditionId(u128::from_be_bytes(row.get(0)?)), level_of(row, 1)?)))?;
    rows.collect()
}

/// Applies a move with its line in the ledger and its event, which is in a trace or in none.
pub fn apply(turn: &Turn<'_>, stock_move: &StockMove, trace: Option<&TraceContext>, now: Timestamp) -> Result<Moved, Fault> {
    let edition = stock_move.edition.0.to_be_bytes();
    let before = level(turn, stock_move.edition)?;
    let after = before.after(stock_move.change);
    let (kind, n) = records::encode_stock_change(stock_move.change);
    let line = "INSERT INTO stock_moves (cause, edition, kind, n, sequence, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
    if change(turn, line, (&stock_move.cause, edition, kind, n, int(before.moves + 1), now.0))? == 0 {
        return Ok(Moved::Before);
    }
    // A refused move undoes the whole change, its line included.
    let Ok(after) = after else { return Ok(Moved::Short { available: before.available() }) };
    let level = "INSERT INTO stock (edition, on_hand, reserved, moves) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (edition) DO UPDATE SET on_hand = ?2, reserved = ?3, moves = ?4";
    change(turn, level, (edition, after.on_hand, after.reserved, int(after.moves)))?;
    let event = Event::Stock(StockEvent { change: stock_move.change, cause: stock_move.cause.clone(), after });
    let told = Outgoing::new(Subject::Stock(stock_move.edition), after.moves, now, event);
    turn.send(&records::encode_outgoing(&Outgoing { trace: trace.cloned(), ..told }))?;
    Ok(Moved::To(after))
}
