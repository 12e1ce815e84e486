//! What may be answered to a question.

/// The answers: those that the question itself explains (`b: back up now, y: ...`), else yes and no.
pub(super) fn choices(question: &str) -> String {
    // Without an explanation it ends as questions do; a database's name in it may hold anything.
    let explains = !question.ends_with('?');
    let (_, explained) = question.rsplit_once("? ").filter(|_| explains).unwrap_or_default();
    let letters: Vec<_> = explained
        .split(", ")
        .filter_map(|answer| answer.split_once(": "))
        .map(|(letter, _)| if letter == "n" { "N" } else { letter })
        .collect();
    if letters.is_empty() { "y/N".into() } else { letters.join("/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_stands_at_the_end_of_the_question() {
        assert_eq!(choices("Migrate \"a? b: c, d\" now?"), "y/N");
        assert_eq!(choices("Migrate now? b: back up now, y: go on without, n: quit"), "b/y/N");
    }
}
