//! The commands of a block that is for a shell.

/// Each command of such a block: lines that go on behind a `\` are one, and comments are left out.
/// Where some lines begin with `$ `, the others are what is printed.
#[must_use]
pub fn commands(block: &str) -> Vec<String> {
    let joined = block.replace("\\\n", " ");
    let is_dialogue = joined.lines().any(|line| line.starts_with("$ "));
    let lines = joined.lines().filter_map(|line| match is_dialogue {
        true => line.strip_prefix("$ "),
        false => Some(line),
    });
    let words = lines.map(|line| {
        let line = line.split_once(" # ").map_or(line, |(command, _)| command);
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    });
    words
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_go_on_are_one_command() {
        let block = "# first\na b \\\n    c   # why\n\nd '#e'\n";
        assert_eq!(commands(block), ["a b c", "d '#e'"]);
    }

    #[test]
    fn what_is_printed_is_no_command() {
        assert_eq!(commands("$ one\n1\n$ two\n{}\n"), ["one", "two"]);
    }
}
