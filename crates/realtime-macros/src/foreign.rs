//! Types of axum, which have the names of ours and are for HTTP requests.

use syn::{GenericArgument, PathArguments, Type, TypePath, spanned::Spanned};

/// The crates of axum's own that have such types. Others that begin with its name are somebody else's.
const AXUMS: [&str; 3] = ["axum", "axum_core", "axum_extra"];

/// What to use in place of a type of axum's, where a type names one by its path.
///
/// One that was imported can't be told from ours here: the compiler names it.
pub(crate) fn check(ty: &Type) -> syn::Result<()> {
    let Type::Path(TypePath { qself: None, path }) = ty else {
        return Ok(());
    };
    let is_axums = path.segments.len() > 1
        && path
            .segments
            .first()
            .is_some_and(|first| AXUMS.iter().any(|name| first.ident == name));
    let Some(last) = path.segments.last() else {
        return Ok(());
    };
    if is_axums {
        let name = last.ident.to_string();
        let instead = match &*name {
            "Json" => "use `realtime::Json`",
            "State" => "use `realtime::State`",
            "Extension" => "use `realtime::extract::Extension`, which is what the session keeps",
            "FromRef" => "use `realtime::extract::FromRef`",
            "ConnectInfo" => "use `realtime::Session`, whose `remote_addr` it is",
            "Router" => "use `realtime::Router`",
            _ => "there is no HTTP request here, but a message of a session",
        };
        let said = format!("axum's `{name}` is for HTTP: {instead}");
        return Err(syn::Error::new(ty.span(), said));
    }
    // `Option<axum::Json<T>>`, `Result<axum::Json<T>, E>`.
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return Ok(());
    };
    let wraps = last.ident == "Option" || last.ident == "Result";
    for argument in arguments.args.iter().filter(|_| wraps) {
        if let GenericArgument::Type(ty) = argument {
            check(ty)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn axums_types_are_known_by_their_paths() {
        for (ty, instead) in [
            ("axum::Json<u8>", "`realtime::Json`"),
            ("::axum::extract::State<App>", "`realtime::State`"),
            ("Option<axum::extract::Query<u8>>", "no HTTP request"),
            ("axum_core::extract::Request", "no HTTP request"),
            ("Result<axum_extra::TypedHeader<u8>, E>", "no HTTP request"),
        ] {
            let error = check(&syn::parse_str(ty).unwrap()).unwrap_err().to_string();
            assert!(error.contains(instead), "{ty}: {error}");
        }
        for ty in [
            "Json<u8>",
            "realtime::State<App>",
            "axum",
            "axumatic::Json<u8>",
            "axum_of_ours::Query<u8>",
            "(u8, u8)",
            "Vec<axum::A>",
        ] {
            check(&syn::parse_str(ty).unwrap()).unwrap();
        }
    }
}
