//! What the compiler says when a function doesn't fit.

#[test]
fn a_function_that_does_not_fit_is_explained() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/**/*.rs");
}
