//! The recipes in docs/proxies.md are the files that the bench and the tests run, word for word.

use std::{error::Error, fs, path::Path};

#[test]
fn the_documentation_shows_the_recipes_that_are_run() -> Result<(), Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(here.join("../../docs/proxies.md"))?;
    // What stands between fences, without the language on the opening one. What is in Rust is no
    // recipe: the documentation's own tests compile it.
    let shown: Vec<&str> = page
        .split("```")
        .skip(1)
        .step_by(2)
        .filter_map(|block| block.split_once('\n'))
        .filter(|(language, _)| *language != "rust")
        .map(|(_, text)| text)
        .collect();

    let mut recipes = Vec::new();
    let folders = ["proxies", "proxies/nodes"].map(|folder| fs::read_dir(here.join(folder)));
    for file in folders
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .flatten()
    {
        let path = file?.path();
        if path.is_dir() {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        assert!(
            shown.contains(&text.as_str()),
            "expected docs/proxies.md to show {} as it is; copy it there",
            path.display()
        );
        recipes.push(text);
    }
    assert_eq!(recipes.len(), shown.len(), "recipes that nobody runs");
    Ok(())
}
