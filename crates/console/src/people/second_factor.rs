//! The second factor of local accounts: codes of an authenticator app, and recovery codes in its place.
//!
//! The secret is stored as it is, because the server computes the codes from it. Recovery codes and tokens are stored
//! as hashes. The statement that finds a code or a token also uses it up, so two requests at the same time cannot both
//! use it.

use data_encoding::BASE32_NOPAD;
use firewatch_domain::{Duration, EventTime};
use sqlx::AnyConnection;

use super::totp::{TotpSecret, in_groups};
use super::{People, hash};
use crate::error::StoreError;

/// How long a new secret waits for its first code.
const ENROLMENT_LIFETIME: Duration = Duration::from_mins(15);
/// Wrong codes of an account, from all addresses, in [`WRONG_CODES_WINDOW`]. Only those who know the password can try
/// codes, and a code is guessed with a probability of 3 in 1,000,000.
const MAX_WRONG_CODES: i64 = 10;
const WRONG_CODES_WINDOW: Duration = Duration::from_mins(60);
/// Recovery codes of an account.
const RECOVERY_CODES: usize = 10;
/// Bytes of a recovery code. With 120 random bits a fast hash is enough.
const RECOVERY_CODE_BYTES: usize = 15;
/// Tables of the second factor. `since` is 0 until the first code was right.
pub(super) const TABLES: [&str; 4] = [
    "CREATE TABLE IF NOT EXISTS second_factors (name TEXT PRIMARY KEY, secret TEXT NOT NULL, since BIGINT NOT NULL, \
     made BIGINT NOT NULL, last_step BIGINT NOT NULL, wrong BIGINT NOT NULL, wrong_since BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS recovery_codes (code TEXT PRIMARY KEY, name TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS code_steps (token TEXT PRIMARY KEY, name TEXT NOT NULL, agent TEXT NOT NULL, \
     tries BIGINT NOT NULL, until BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS proofs (token TEXT PRIMARY KEY, at BIGINT NOT NULL)",
];

/// What a code turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeCheck {
    /// The right code of the app; it is used up.
    Right,
    /// A recovery code; it is used up, and this many are left.
    RecoveryCode(usize),
    /// A wrong code, or the account has no second factor.
    Wrong,
    /// The right code, but it or a later one was used before.
    UsedBefore,
    /// There were too many wrong codes, so the code was not checked.
    TooMany,
}

impl People {
    /// Returns whether an account has a second factor.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_second_factor(&self, name: &str) -> Result<bool, StoreError> {
        let found: Option<(String,)> =
            sqlx::query_as("SELECT name FROM second_factors WHERE name = $1 AND since > 0")
                .bind(name)
                .fetch_optional(&self.pool)
                .await?;
        Ok(found.is_some())
    }

    /// Makes a new secret, which counts once a code of it was entered. Returns `None` if the account has a second factor.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn start_enrolment(
        &self,
        name: &str,
        now: EventTime,
    ) -> Result<Option<TotpSecret>, StoreError> {
        let secret = TotpSecret::random()?;
        let made = sqlx::query(
            "INSERT INTO second_factors VALUES ($1, $2, 0, $3, 0, 0, 0) ON CONFLICT (name) DO UPDATE \
             SET secret = excluded.secret, made = excluded.made WHERE second_factors.since = 0",
        )
        .bind(name)
        .bind(secret.base32())
        .bind(now.as_millis())
        .execute(&self.pool)
        .await?;
        Ok((made.rows_affected() > 0).then_some(secret))
    }

    /// Returns the secret that waits for its first code, if there is one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn enrolment(&self, name: &str, now: EventTime) -> Result<Option<TotpSecret>, StoreError> {
        let found: Option<(String,)> =
            sqlx::query_as("SELECT secret FROM second_factors WHERE name = $1 AND since = 0 AND made > $2")
                .bind(name)
                .bind((now - ENROLMENT_LIFETIME).as_millis())
                .fetch_optional(&self.pool)
                .await?;
        Ok(found.and_then(|(secret,)| TotpSecret::parse(&secret)))
    }

    /// Turns on the second factor if the code is right, and ends the person's sessions except the one of `session`.
    /// Returns the recovery codes, which are stored as hashes only; `None` if the code is wrong.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn finish_enrolment(
        &self,
        name: &str,
        session: &str,
        code: &str,
        now: EventTime,
    ) -> Result<Option<Vec<String>>, StoreError> {
        let secret = self.enrolment(name, now).await?;
        let Some((secret, step)) =
            secret.and_then(|secret| Some((secret.clone(), secret.step_of(code, now)?)))
        else {
            return Ok(None);
        };
        let codes = (0..RECOVERY_CODES).map(|_| recovery_code()).collect::<Result<Vec<_>, _>>()?;
        let mut change = self.pool.begin().await?;
        let on = sqlx::query(
            "UPDATE second_factors SET since = $2, last_step = $3 WHERE name = $1 AND since = 0 AND secret = $4",
        )
        .bind(name)
        .bind(now.as_millis())
        .bind(step)
        .bind(secret.base32())
        .execute(&mut *change)
        .await?;
        if on.rows_affected() == 0 {
            return Ok(None);
        }
        sqlx::query("DELETE FROM recovery_codes WHERE name = $1").bind(name).execute(&mut *change).await?;
        for code in &codes {
            sqlx::query("INSERT INTO recovery_codes VALUES ($1, $2)")
                .bind(hash(&plain(code)))
                .bind(name)
                .execute(&mut *change)
                .await?;
        }
        end_other_sessions(&mut change, name, session).await?;
        change.commit().await?;
        Ok(Some(codes))
    }

    /// Checks a code of the app or a recovery code, and uses it up if it is right. Wrong codes are counted, and refused
    /// when there were too many; recovery codes are not, because nobody can guess them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn check_code(&self, name: &str, code: &str, now: EventTime) -> Result<CodeCheck, StoreError> {
        if let Some(left) = self.use_recovery_code(name, code).await? {
            return Ok(CodeCheck::RecoveryCode(left));
        }
        // Counted before it is checked, so that many at the same time are counted as well.
        let counted: Option<(String,)> = sqlx::query_as(
            "UPDATE second_factors SET wrong = CASE WHEN wrong_since < $2 THEN 1 ELSE wrong + 1 END, \
             wrong_since = CASE WHEN wrong_since < $2 THEN $3 ELSE wrong_since END \
             WHERE name = $1 AND since > 0 AND (wrong < $4 OR wrong_since < $2) RETURNING secret",
        )
        .bind(name)
        .bind((now - WRONG_CODES_WINDOW).as_millis())
        .bind(now.as_millis())
        .bind(MAX_WRONG_CODES)
        .fetch_optional(&self.pool)
        .await?;
        let Some((secret,)) = counted else {
            let has_factor = self.has_second_factor(name).await?;
            return Ok(if has_factor { CodeCheck::TooMany } else { CodeCheck::Wrong });
        };
        let Some(step) = TotpSecret::parse(&secret).and_then(|secret| secret.step_of(code, now)) else {
            return Ok(CodeCheck::Wrong);
        };
        let used = sqlx::query(
            "UPDATE second_factors SET last_step = $2, wrong = wrong - 1 \
             WHERE name = $1 AND since > 0 AND last_step < $2 AND secret = $3",
        )
        .bind(name)
        .bind(step)
        .bind(secret)
        .execute(&self.pool)
        .await?;
        Ok(if used.rows_affected() > 0 { CodeCheck::Right } else { CodeCheck::UsedBefore })
    }

    /// Uses up a recovery code and returns how many are left; `None` if there is no such code.
    async fn use_recovery_code(&self, name: &str, code: &str) -> Result<Option<usize>, StoreError> {
        let used = sqlx::query("DELETE FROM recovery_codes WHERE code = $1 AND name = $2")
            .bind(hash(&plain(code)))
            .bind(name)
            .execute(&self.pool)
            .await?;
        if used.rows_affected() == 0 {
            return Ok(None);
        }
        let left: Vec<(String,)> = sqlx::query_as("SELECT name FROM recovery_codes WHERE name = $1")
            .bind(name)
            .fetch_all(&self.pool)
            .await?;
        Ok(Some(left.len()))
    }

    /// Turns off the second factor of an account, and ends the person's sessions except the one of `session`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn turn_off_second_factor(&self, name: &str, session: &str) -> Result<(), StoreError> {
        let mut change = self.pool.begin().await?;
        delete_second_factor(&mut change, name).await?;
        end_other_sessions(&mut change, name, session).await?;
        change.commit().await?;
        Ok(())
    }

    /// Turns off the second factor of another account and ends its sessions; returns whether it had one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn reset_second_factor(&self, name: &str) -> Result<bool, StoreError> {
        let mut change = self.pool.begin().await?;
        let was_on = delete_second_factor(&mut change, name).await?;
        end_sessions_of(&mut change, name).await?;
        change.commit().await?;
        Ok(was_on)
    }
}

/// Ends the sessions of an account and its sign-ins that wait for a code.
pub(super) async fn end_sessions_of(change: &mut AnyConnection, name: &str) -> Result<(), StoreError> {
    for delete in ["DELETE FROM sessions WHERE name = $1", "DELETE FROM code_steps WHERE name = $1"] {
        sqlx::query(delete).bind(name).execute(&mut *change).await?;
    }
    Ok(())
}

async fn end_other_sessions(change: &mut AnyConnection, name: &str, session: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM sessions WHERE name = $1 AND token <> $2")
        .bind(name)
        .bind(hash(session))
        .execute(change)
        .await?;
    Ok(())
}

/// Deletes the secret and the recovery codes of an account; returns whether its second factor was on.
pub(super) async fn delete_second_factor(change: &mut AnyConnection, name: &str) -> Result<bool, StoreError> {
    sqlx::query("DELETE FROM recovery_codes WHERE name = $1").bind(name).execute(&mut *change).await?;
    let deleted: Option<(i64,)> =
        sqlx::query_as("DELETE FROM second_factors WHERE name = $1 RETURNING since")
            .bind(name)
            .fetch_optional(&mut *change)
            .await?;
    Ok(deleted.is_some_and(|(since,)| since > 0))
}

fn recovery_code() -> Result<String, StoreError> {
    let mut bytes = [0; RECOVERY_CODE_BYTES];
    getrandom::fill(&mut bytes).map_err(|e| StoreError::Row(format!("no random bytes: {e}")))?;
    Ok(in_groups(&BASE32_NOPAD.encode(&bytes).to_lowercase(), '-'))
}

/// Returns a recovery code without the separators and the case that people may write it with.
fn plain(code: &str) -> String {
    code.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::super::code_steps::{MAX_CODE_STEPS, MAX_TRIES};
    use super::super::totp::time_step;
    use super::*;
    use crate::people::Role;
    use crate::store::Store;

    const PASSWORD: &str = "many plain words in a row";

    fn at(secs: i64) -> EventTime {
        EventTime::from_millis(1_800_000_000_000 + secs * 1000)
    }

    struct Kim {
        people: People,
        secret: TotpSecret,
        recovery_codes: Vec<String>,
        _folder: tempfile::TempDir,
    }

    impl Kim {
        /// Creates an account with a second factor, whose last code was that of `at(0)`.
        async fn with_second_factor() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite://{}", folder.path().join("console.db").display());
            let people = Store::open(&url).await.unwrap().people().await.unwrap();
            let token = people.invite("kim", &[Role::PrivacyOfficer], at(0)).await.unwrap();
            let _ = people.accept(&token, "", PASSWORD.into(), at(0)).await.unwrap().unwrap();
            let secret = people.start_enrolment("kim", at(0)).await.unwrap().unwrap();
            let code = secret.code(time_step(at(0)));
            let codes = people.finish_enrolment("kim", "", &code, at(0)).await.unwrap();
            Self { people, secret, recovery_codes: codes.unwrap(), _folder: folder }
        }

        async fn check(&self, code: &str, secs: i64) -> CodeCheck {
            self.people.check_code("kim", code, at(secs)).await.unwrap()
        }

        fn code(&self, secs: i64) -> String {
            self.secret.code(time_step(at(secs)))
        }

        /// Returns a code that is wrong around a time.
        fn wrong(&self, secs: i64) -> String {
            let right: Vec<String> = (-2..=2).map(|step| self.code(secs + 30 * step)).collect();
            ["000000", "000001", "000002", "000003", "000004", "000005"]
                .into_iter()
                .find(|code| !right.iter().any(|right| right == code))
                .unwrap()
                .into()
        }
    }

    #[tokio::test]
    async fn a_code_counts_once_and_none_before_it_counts_any_more() {
        let kim = Kim::with_second_factor().await;
        assert_eq!(kim.check(&kim.code(0), 0).await, CodeCheck::UsedBefore, "it turned the factor on");
        assert_eq!(kim.check(&kim.code(90), 60).await, CodeCheck::Right);
        for earlier in [90, 60] {
            assert_eq!(kim.check(&kim.code(earlier), 60).await, CodeCheck::UsedBefore);
        }
        assert_eq!(kim.check(&kim.code(120), 120).await, CodeCheck::Right);
        assert_eq!(kim.people.check_code("lee", &kim.code(150), at(150)).await.unwrap(), CodeCheck::Wrong);
    }

    #[tokio::test]
    async fn of_many_at_once_one_uses_a_code() {
        let kim = Kim::with_second_factor().await;
        let (code, recovery) = (kim.code(60), kim.recovery_codes[0].clone());
        let all = futures_util::future::join_all((0..8).map(|_| kim.check(&code, 60))).await;
        assert_eq!(all.iter().filter(|check| **check == CodeCheck::Right).count(), 1, "{all:?}");
        let all = futures_util::future::join_all((0..8).map(|_| kim.check(&recovery, 90))).await;
        assert_eq!(all.iter().filter(|check| **check == CodeCheck::RecoveryCode(9)).count(), 1, "{all:?}");
    }

    #[tokio::test]
    async fn ten_wrong_codes_an_hour_are_checked_and_a_recovery_code_still_counts() {
        let kim = Kim::with_second_factor().await;
        for _ in 0..MAX_WRONG_CODES {
            assert_eq!(kim.check(&kim.wrong(60), 60).await, CodeCheck::Wrong);
        }
        assert_eq!(kim.check(&kim.code(90), 90).await, CodeCheck::TooMany);
        let recovery = kim.recovery_codes[3].to_uppercase().replace('-', " ");
        assert_eq!(kim.check(&recovery, 90).await, CodeCheck::RecoveryCode(9));
        assert_eq!(kim.check(&recovery, 90).await, CodeCheck::TooMany, "it is used up");
        assert_eq!(kim.check(&kim.code(3700), 3700).await, CodeCheck::Right);
    }

    #[tokio::test]
    async fn a_secret_counts_after_its_first_code_and_waits_a_quarter_of_an_hour() {
        let kim = Kim::with_second_factor().await;
        let people = &kim.people;
        assert!(people.start_enrolment("kim", at(60)).await.unwrap().is_none(), "it is on");
        let secret = people.start_enrolment("lee", at(0)).await.unwrap().unwrap();
        let code = |secs| secret.code(time_step(at(secs)));
        assert!(!people.has_second_factor("lee").await.unwrap());
        assert_eq!(people.check_code("lee", &code(0), at(0)).await.unwrap(), CodeCheck::Wrong);
        assert_eq!(people.finish_enrolment("lee", "", &code(900), at(900)).await.unwrap(), None);
        let newer = people.start_enrolment("lee", at(900)).await.unwrap().unwrap();
        assert_eq!(people.finish_enrolment("lee", "", &code(900), at(900)).await.unwrap(), None);
        let code = newer.code(time_step(at(930)));
        assert_eq!(people.finish_enrolment("lee", "", &code, at(930)).await.unwrap().unwrap().len(), 10);
        assert!(people.has_second_factor("lee").await.unwrap());
    }

    #[tokio::test]
    async fn a_sign_in_waits_for_its_code_five_minutes_in_one_browser_and_few_wait() {
        let kim = Kim::with_second_factor().await;
        let people = &kim.people;
        let mut tokens = Vec::new();
        for secs in 0..7 {
            tokens.push(people.begin_code_step("kim", "browser", at(secs)).await.unwrap());
        }
        let mut waiting = 0;
        for token in &tokens {
            waiting += i64::from(people.code_step(token, "browser", at(7)).await.unwrap().is_some());
        }
        assert_eq!(waiting, MAX_CODE_STEPS);
        let last = &tokens[6];
        assert_eq!(people.code_step(last, "another", at(7)).await.unwrap(), None);
        assert_eq!(people.code_step(last, "browser", at(306)).await.unwrap(), None);
        let mut tries = 0;
        while people.count_try(last).await.unwrap() {
            tries += 1;
        }
        assert_eq!(tries, MAX_TRIES);
        let changed =
            people.change_password("kim", PASSWORD.into(), "other plain words in a row".into()).await;
        changed.unwrap().unwrap();
        assert_eq!(people.code_step(last, "browser", at(7)).await.unwrap(), None, "of the old password");
    }

    #[tokio::test]
    async fn a_proof_is_fresh_for_a_quarter_of_an_hour_in_its_session() {
        let kim = Kim::with_second_factor().await;
        let people = &kim.people;
        let session = people.begin_session("kim", "", at(0)).await.unwrap();
        let other = people.begin_session("kim", "", at(0)).await.unwrap();
        let of_provider = people.begin_session_with_roles("kim", &[], "", at(0)).await.unwrap();
        let is_fresh = async |session: &str, secs| people.has_fresh_proof(session, at(secs)).await.unwrap();
        assert!(is_fresh(&session, 900).await && !is_fresh(&session, 901).await);
        assert!(!is_fresh(&of_provider, 0).await && !is_fresh("", 0).await);
        people.note_proof(&session, at(2000)).await.unwrap();
        assert!(is_fresh(&session, 2900).await && !is_fresh(&session, 2901).await);
        assert!(!is_fresh(&other, 2000).await);
    }

    #[tokio::test]
    async fn a_removed_account_leaves_no_second_factor_to_its_name() {
        let kim = Kim::with_second_factor().await;
        assert!(kim.people.remove("kim").await.unwrap());
        assert!(!kim.people.has_second_factor("kim").await.unwrap());
        assert_eq!(kim.check(&kim.recovery_codes[0], 60).await, CodeCheck::Wrong);
    }
}
