//! What a statement does to tables that are in use: told from its text, so that what is forecast and what
//! is run cannot part. A test applies each migration and compares with what the server shows.

use std::collections::BTreeSet;

use crate::db::identifiers::identifier;
use crate::db::lock_mode::LockMode;
use crate::failure::Failure;

use super::statements::{Statement, Token, statements};

/// A table, by its schema and its own name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Table {
    /// `public`, or our own.
    pub schema: String,
    /// Without quotes.
    pub name: String,
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", identifier(&self.schema), identifier(&self.name))
    }
}

/// What one statement does to one table that was there before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The statement, on one line.
    pub statement: String,
    /// The table.
    pub table: Table,
    /// The lock it takes; held until COMMIT.
    pub lock: LockMode,
    /// How often it reads all of the table.
    pub scans: u32,
    /// It writes all of the table anew.
    pub rewrites: bool,
}

/// What these texts do, run in this order in one transaction. What they make themselves is in nobody's
/// use, and left out.
///
/// # Errors
/// A statement whose effect cannot be told from its text: dynamic SQL, or a kind that is not known here.
pub fn effects<'a>(sql: impl IntoIterator<Item = &'a str>) -> Result<Vec<Effect>, Failure> {
    let mut made = BTreeSet::new();
    let mut found = Vec::new();
    for statement in sql.into_iter().flat_map(statements) {
        let touched = touched(&statement.tokens, &mut made).ok_or_else(|| untold(&statement))?;
        found.extend(touched.into_iter().filter(|touch| !made.contains(&touch.table)).map(
            |touch| Effect {
                statement: statement.brief(),
                table: touch.table,
                lock: touch.lock,
                scans: touch.scans,
                rewrites: touch.rewrites,
            },
        ));
    }
    Ok(found)
}

fn untold(statement: &Statement<'_>) -> Failure {
    Failure::unexpected("cannot tell which tables a statement locks").because(statement.brief())
}

/// Each table once, in order, with the strongest lock on it. Of two locks neither of which covers the other, both.
pub fn locks(effects: &[Effect]) -> Vec<(&Table, LockMode)> {
    let mut strongest: Vec<(&Table, LockMode)> = Vec::new();
    for effect in effects {
        let table = &effect.table;
        if strongest.iter().any(|(name, lock)| *name == table && lock.covers(effect.lock)) {
            continue;
        }
        match strongest.iter_mut().find(|(name, lock)| *name == table && effect.lock.covers(*lock))
        {
            Some((_, lock)) => *lock = effect.lock,
            None => strongest.push((table, effect.lock)),
        }
    }
    strongest
}

struct Touch {
    table: Table,
    lock: LockMode,
    scans: u32,
    rewrites: bool,
}

impl Touch {
    fn new(table: Table, lock: LockMode) -> Self {
        Self { table, lock, scans: 0, rewrites: false }
    }

    fn scanning(self, scans: u32) -> Self {
        Self { scans, ..self }
    }
}

/// None: it cannot be told.
fn touched(tokens: &[Token<'_>], made: &mut BTreeSet<Table>) -> Option<Vec<Touch>> {
    let mut words = Words { tokens };
    if words.eat("CREATE TABLE") {
        let table = words.table()?;
        // Columns in parentheses, and nothing else.
        let [first, .., last] = words.tokens else { return None };
        let whole = [first, last] == [&Token::Sign('('), &Token::Sign(')')];
        if !whole || words.split_at(')').len() != 2 || words.any(&["LIKE"]) {
            return None;
        }
        made.insert(table);
        let parents = words.tables_after(&["REFERENCES"]);
        return Some(parents.map(|t| Touch::new(t, LockMode::ShareRowExclusive)).collect());
    }
    if words.eat("ALTER TABLE") {
        return altered(words, made);
    }
    if words.eat("LOCK TABLE") {
        let table = words.table()?;
        words.eat("IN");
        let name: Vec<&str> =
            words.tokens.iter().map_while(|t| if t.is("MODE") { None } else { t.word() }).collect();
        return Some(vec![Touch::new(table, LockMode::named(&name.join(" "))?)]);
    }
    if words.eat("CREATE TRIGGER") {
        let table = words.tables_after(&["ON"]).next()?;
        return Some(vec![Touch::new(table, LockMode::ShareRowExclusive)]);
    }
    if words.eat("COMMENT ON TABLE") || words.eat("COMMENT ON COLUMN") {
        return Some(vec![Touch::new(words.table()?, LockMode::ShareUpdateExclusive)]);
    }
    if words.eat("ALTER SEQUENCE") {
        // It is the table of that column.
        return Some(
            words.tables_after(&["BY"]).map(|t| Touch::new(t, LockMode::AccessShare)).collect(),
        );
    }
    if words.eat("INSERT INTO") {
        let table = words.table()?;
        return (!words.any(&["SELECT"])).then(|| vec![Touch::new(table, LockMode::RowExclusive)]);
    }
    if words.eat("CREATE FUNCTION") {
        return Some(created(words));
    }
    let touches_none =
        ["CREATE TYPE", "CREATE SEQUENCE", "COMMENT ON FUNCTION", "COMMENT ON SEQUENCE"];
    if touches_none.iter().any(|start| words.eat(start)) {
        return Some(Vec::new());
    }
    if words.eat("SELECT") {
        return Some(read(words));
    }
    if words.eat("DO") {
        let [Token::Body(body)] = words.tokens else { return None };
        let tokens: Vec<Token<'_>> =
            statements(body).into_iter().flat_map(|part| part.tokens).collect();
        return told_in_block(&tokens);
    }
    None
}

fn altered(mut words: Words<'_>, made: &BTreeSet<Table>) -> Option<Vec<Touch>> {
    words.eat("ONLY");
    let table = words.table()?;
    let mut found = Vec::new();
    for mut action in words.split_at(',') {
        if action.eat("ADD COLUMN") {
            let touch = Touch::new(table.clone(), LockMode::AccessExclusive);
            found.push(Touch { rewrites: adds_computed(&action)?, ..touch });
        } else if action.eat("ADD CONSTRAINT") && action.any(&["FOREIGN"]) {
            let parent = action.tables_after(&["REFERENCES"]).next()?;
            // Where there are rows, they are looked for in the other table.
            let scans = u32::from(!made.contains(&table) && !action.any(&["VALID"]));
            found.push(Touch::new(table.clone(), LockMode::ShareRowExclusive).scanning(scans));
            found.push(Touch::new(parent, LockMode::ShareRowExclusive).scanning(scans));
        } else if action.eat("DROP COLUMN") || action.eat("RENAME") || action.eat("SET SCHEMA") {
            found.push(Touch::new(table.clone(), LockMode::AccessExclusive));
        } else {
            return None;
        }
    }
    Some(found)
}

/// A body in SQL is looked through, which locks as its statements do; no body is run.
fn created(words: Words<'_>) -> Vec<Touch> {
    if !words.tokens.windows(2).any(|pair| pair[0].is("LANGUAGE") && pair[1].is("sql")) {
        return Vec::new();
    }
    let bodies = words.tokens.iter().filter_map(|token| match token {
        Token::Body(body) => Some(*body),
        _ => None,
    });
    let mut found = Vec::new();
    for statement in bodies.flat_map(statements) {
        let mut words = Words { tokens: &statement.tokens };
        if ["UPDATE", "INSERT INTO", "DELETE FROM"].iter().any(|start| words.eat(start)) {
            found.extend(words.table().map(|table| Touch::new(table, LockMode::RowExclusive)));
        }
        found.extend(read(words).into_iter().map(|touch| touch.scanning(0)));
    }
    found
}

/// Whether each row gets a value of its own, which has to be written. A constant is kept in the catalogue
/// alone, and so is what is computed once.
fn adds_computed(column: &Words<'_>) -> Option<bool> {
    if column.any(&["PRIMARY", "UNIQUE", "CHECK", "REFERENCES"]) {
        return None;
    }
    if column.any(&["GENERATED", "SERIAL", "BIGSERIAL"]) {
        return Some(true);
    }
    let Some(at) = column.tokens.iter().position(|token| token.is("DEFAULT")) else {
        return Some(false);
    };
    let constant = match &column.tokens[at + 1..] {
        [Token::Text(_), ..] => true,
        [Token::Word(word), Token::Sign('('), ..] => word.eq_ignore_ascii_case("now"),
        [Token::Word(word), ..] => {
            let once = ["true", "false", "null", "current_timestamp"];
            once.iter().any(|o| word.eq_ignore_ascii_case(o))
                || word.bytes().all(|b| b.is_ascii_digit())
        }
        _ => false,
    };
    Some(!constant)
}

/// A DO block may read, and it may grant: of which table is not told, but that lock (ACCESS SHARE, since
/// PostgreSQL 18) waits for nobody who lets the catalogue be read.
fn told_in_block(tokens: &[Token<'_>]) -> Option<Vec<Touch>> {
    const CHANGES: [&str; 12] = [
        "INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "LOCK", "ALTER", "CREATE", "DROP",
        "TRUNCATE", "PERFORM", "CALL",
    ];
    let words = Words { tokens };
    let grants = |text: &str| ["GRANT ", "REVOKE "].iter().any(|start| text.starts_with(start));
    let dynamic = tokens.iter().enumerate().filter(|(_, token)| token.is("EXECUTE"));
    let mut texts = dynamic.map(|(at, _)| match &tokens[at + 1..] {
        [format, Token::Sign('('), Token::Text(text), ..] if format.is("format") => Some(*text),
        _ => None,
    });
    let only_grants = texts.all(|text| text.is_some_and(grants));
    (only_grants && !words.any(&CHANGES)).then(|| read(words))
}

/// The tables read; each time all of it, as nothing here reads by a key.
fn read(words: Words<'_>) -> Vec<Touch> {
    let mut found: Vec<Touch> = Vec::new();
    for table in words.tables_after(&["FROM", "JOIN"]) {
        match found.iter_mut().find(|touch| touch.table == table) {
            Some(touch) => touch.scans += 1,
            None => found.push(Touch::new(table, LockMode::AccessShare).scanning(1)),
        }
    }
    found
}

/// What is left of a statement.
#[derive(Clone, Copy)]
struct Words<'a> {
    tokens: &'a [Token<'a>],
}

impl<'a> Words<'a> {
    /// Goes on behind these words, where they come next.
    fn eat(&mut self, words: &str) -> bool {
        let count = words.split(' ').count();
        let starts =
            self.tokens.len() >= count && words.split(' ').zip(self.tokens).all(|(w, t)| t.is(w));
        if starts {
            self.tokens = &self.tokens[count..];
        }
        starts
    }

    /// Goes on behind the table that comes next.
    fn table(&mut self) -> Option<Table> {
        let [schema, Token::Sign('.'), name, rest @ ..] = self.tokens else { return None };
        let table = Table { schema: schema.name()?, name: name.name()? };
        self.tokens = rest;
        Some(table)
    }

    fn any(&self, words: &[&str]) -> bool {
        self.tokens.iter().any(|token| words.iter().any(|word| token.is(word)))
    }

    /// The tables that stand behind one of these words. A name without a schema is the catalogue's.
    fn tables_after(&self, words: &'a [&'a str]) -> impl Iterator<Item = Table> + use<'a> {
        let tokens = self.tokens;
        let behind =
            (1..tokens.len()).filter(move |at| words.iter().any(|word| tokens[at - 1].is(word)));
        behind.filter_map(move |at| Words { tokens: &tokens[at..] }.table())
    }

    /// Cut at that sign, where it does not stand in parentheses.
    fn split_at(&self, sign: char) -> Vec<Self> {
        let mut depth = 0_i32;
        let parts = self.tokens.split(|token| {
            match token {
                Token::Sign('(') => depth += 1,
                Token::Sign(')') => depth -= 1,
                _ => {}
            }
            depth == 0 && *token == Token::Sign(sign)
        });
        parts.map(|tokens| Words { tokens }).collect()
    }
}

impl Token<'_> {
    fn word(&self) -> Option<&str> {
        if let Token::Word(word) = self { Some(word) } else { None }
    }

    /// A name as the server has it.
    fn name(&self) -> Option<String> {
        match self {
            Token::Word(word) => Some(word.to_lowercase()),
            Token::Name(name) => Some(name.clone()),
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "effects_tests.rs"]
mod tests;
