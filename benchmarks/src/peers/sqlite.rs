//! SQLite: arrays as blobs.

use std::path::Path;

use anyhow::Result;
use rusqlite::{Connection, OpenFlags, params};

use super::{chunk, from_bytes, sum, to_bytes};
use crate::data::{Attribute, Profiles};
use crate::peer::{OpenProfiles, Peer, Updates};

pub struct Sqlite;

const FILE: &str = "data.sqlite";

/// Blobs in a table of their own: a look at names or statistics does not pass by them.
const TABLES: &str = "
    CREATE TABLE profile (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, minimum REAL, maximum REAL);
    CREATE TABLE elements (id INTEGER PRIMARY KEY REFERENCES profile, bytes BLOB NOT NULL);
    CREATE TABLE attribute (id INTEGER REFERENCES profile, key TEXT NOT NULL, value, PRIMARY KEY (id, key))
        WITHOUT ROWID;
";

const READ: &str = "SELECT bytes FROM elements WHERE id = (SELECT id FROM profile WHERE name = ?)";

fn open(path: &Path) -> Result<Connection> {
    let db = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    // Reads from the page cache of the operating system without a copy into its own.
    db.pragma_update(None, "mmap_size", 1i64 << 40)?;
    Ok(db)
}

impl Peer for Sqlite {
    fn name(&self) -> &'static str {
        "SQLite"
    }

    fn write_profiles(&self, dir: &Path, profiles: &Profiles) -> Result<()> {
        let mut db = Connection::open(dir.join(FILE))?;
        // Pages wait in memory until the transaction ends; syncing is up to the operating system, as the trait says.
        db.execute_batch("PRAGMA cache_size = -1000000; PRAGMA synchronous = OFF;")?;
        let transaction = db.transaction()?;
        transaction.execute_batch(TABLES)?;
        {
            let mut profile = transaction.prepare("INSERT INTO profile VALUES (?, ?, ?, ?)")?;
            let mut elements = transaction.prepare("INSERT INTO elements VALUES (?, ?)")?;
            let mut attribute = transaction.prepare("INSERT INTO attribute VALUES (?, ?, ?)")?;
            for i in 0..profiles.count {
                let values = profiles.values(i);
                let minimum = values.iter().copied().fold(f32::MAX, f32::min);
                let maximum = values.iter().copied().fold(f32::MIN, f32::max);
                profile.execute(params![i, Profiles::name(i), minimum, maximum])?;
                elements.execute(params![i, to_bytes(values)])?;
                // In the order of the key, so that the table only grows at its end.
                for a in Profiles::attributes(i) {
                    match a {
                        Attribute::Text(key, text) => attribute.execute(params![i, key, text])?,
                        Attribute::Number(key, number) => attribute.execute(params![i, key, number])?,
                    };
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn open_profiles(&self, dir: &Path) -> Result<Box<dyn OpenProfiles>> {
        let db = open(&dir.join(FILE))?;
        // All reads in one transaction: the file is locked and looked at once.
        db.execute_batch("BEGIN")?;
        Ok(Box::new(OpenP { db }))
    }

    fn updates(&self, dir: &Path, _commits: usize) -> Result<Box<dyn Updates>> {
        let db = Connection::open(dir.join(FILE))?;
        // Large pages for large blobs; with a write-ahead log a commit is one append and one sync.
        db.execute_batch("PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
        db.execute_batch("CREATE TABLE chunk (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)")?;
        Ok(Box::new(Updating { db }))
    }

    fn open_updates(&self, dir: &Path) -> Result<()> {
        // It looks into the file when it is asked.
        Ok(open(&dir.join(FILE))?.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?)
    }

    fn sum_updates(&self, dir: &Path, _commits: usize) -> Result<f64> {
        let db = open(&dir.join(FILE))?;
        let mut read = db.prepare("SELECT bytes FROM chunk ORDER BY id")?;
        let mut rows = read.query([])?;
        let mut total = 0.0;
        while let Some(row) = rows.next()? {
            total += sum(&from_bytes(row.get_ref(0)?.as_blob()?));
        }
        Ok(total)
    }

    fn compact_updates(&self, dir: &Path) -> Result<()> {
        let db = Connection::open(dir.join(FILE))?;
        Ok(db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }
}

struct OpenP {
    db: Connection,
}

impl OpenProfiles for OpenP {
    fn read(&self, name: &str) -> Result<Vec<f32>> {
        let mut read = self.db.prepare_cached(READ)?;
        Ok(read.query_row([name], |row| Ok(from_bytes(row.get_ref(0)?.as_blob()?)))?)
    }

    fn read_batch(&self, names: &[String]) -> Result<Vec<Vec<f32>>> {
        let mut read = self.db.prepare_cached(READ)?;
        let one = |name: &String| read.query_row([name], |row| Ok(from_bytes(row.get_ref(0)?.as_blob()?)));
        Ok(names.iter().map(one).collect::<rusqlite::Result<_>>()?)
    }

    fn count_cycle_7(&self) -> Result<usize> {
        let sql = "SELECT count(*) FROM attribute WHERE key = 'cycle' AND value = 7";
        Ok(self.db.query_row(sql, [], |row| row.get(0))?)
    }

    fn count_pruned(&self) -> Result<usize> {
        let sql = "SELECT count(*) FROM profile JOIN attribute USING (id)
                   WHERE maximum > 29 AND key = 'cycle' AND value = 7";
        Ok(self.db.query_row(sql, [], |row| row.get(0))?)
    }

    fn sum_of_maxima(&self) -> Result<f64> {
        Ok(self.db.query_row("SELECT sum(maximum) FROM profile", [], |row| row.get(0))?)
    }
}

struct Updating {
    db: Connection,
}

impl Updates for Updating {
    fn commit(&mut self, i: u64, value: f32) -> Result<()> {
        let mut insert = self.db.prepare_cached("INSERT OR REPLACE INTO chunk VALUES (?, ?)")?;
        insert.execute(params![i, to_bytes(&chunk(value))])?;
        Ok(())
    }
}
