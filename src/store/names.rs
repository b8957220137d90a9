//! Questions of traded markets, so that a reader of the ledger need not ask the venue for them.
//!
//! Not part of the ledger: losing them costs a name on a page, never money.

use rusqlite::{OptionalExtension, params};

use super::Store;
use super::error::StoreError;

impl Store {
    /// Keeps the question of each market (id, question), replacing earlier ones.
    pub fn remember_questions(&self, questions: &[(String, String)]) -> Result<(), StoreError> {
        if questions.is_empty() {
            return Ok(());
        }
        self.write(|tx| {
            let mut statement = tx.prepare_cached(
                "INSERT INTO market_names (market_id, question) VALUES (?1, ?2) \
                 ON CONFLICT (market_id) DO UPDATE SET question = excluded.question",
            )?;
            for (market_id, question) in questions {
                statement.execute(params![market_id, question])?;
            }
            Ok(())
        })
    }

    /// The question of a traded market; `None` when it was never traded. Untrusted text.
    pub fn question_of(&self, market_id: &str) -> Result<Option<String>, StoreError> {
        self.read(|tx| {
            Ok(tx
                .prepare_cached("SELECT question FROM market_names WHERE market_id = ?1")?
                .query_row([market_id], |row| row.get(0))
                .optional()?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_kept_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("names.db")).unwrap();
        let pair = |text: &str| vec![("7".to_owned(), text.to_owned())];
        store.remember_questions(&pair("Will it rain?")).unwrap();
        store
            .remember_questions(&pair("Will it rain on Monday?"))
            .unwrap();
        let kept = store.question_of("7").unwrap();
        assert_eq!(kept.as_deref(), Some("Will it rain on Monday?"));
        assert_eq!(store.question_of("8").unwrap(), None);
    }
}
