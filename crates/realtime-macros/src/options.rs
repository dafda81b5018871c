//! What stands in the brackets: `state = T`.

use syn::{
    Ident, Token, Type,
    parse::{Parse, ParseStream},
};

/// The options of `debug_handler`.
#[derive(Default)]
pub(crate) struct Options {
    /// The router's state, where it is named.
    pub(crate) state: Option<Type>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.is_empty() {
            return Ok(Self::default());
        }
        let name: Ident = input.parse()?;
        if name != "state" {
            let expected = "expected `state = T`, with the type of the router's state";
            return Err(syn::Error::new(name.span(), expected));
        }
        input.parse::<Token![=]>()?;
        let state = Some(input.parse()?);
        input.parse::<Option<Token![,]>>()?;
        if !input.is_empty() {
            return Err(input.error("expected nothing behind `state = T`"));
        }
        Ok(Self { state })
    }
}
