//! A function, and beside it what makes the compiler look at each of its parts.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{
    FnArg, GenericArgument, GenericParam, ItemFn, PathArguments, ReturnType, Type, spanned::Spanned,
};

use crate::{foreign, options::Options};

/// How many arguments a handler may have.
const ARGUMENTS: usize = 8;

/// The function as it stands, and the checks; or an error in their place.
pub(crate) fn checked(options: TokenStream, item: TokenStream) -> TokenStream {
    let checks = syn::parse2(options).and_then(|options| {
        let function = syn::parse2(item.clone()).map_err(|error| {
            syn::Error::new(error.span(), "`debug_handler` is for `async` functions")
        })?;
        checks(&options, &function)
    });
    let checks = checks.unwrap_or_else(|error| error.to_compile_error());
    quote! { #item #checks }
}

fn checks(options: &Options, function: &ItemFn) -> syn::Result<TokenStream> {
    check_generics(function)?;
    let arguments = arguments(function)?;
    for ty in &arguments {
        foreign::check(ty)?;
    }
    let answers_later = check_replier(&arguments)?;
    let result = result(function)?;
    let state = state(options, &arguments)?;

    let extracted = arguments.iter().skip(usize::from(answers_later));
    let extracted = extracted.map(|ty| {
        quote_spanned! { ty.span() =>
            const _: () = ::realtime::handler::check_argument::<#ty, #state>();
        }
    });
    let check = match answers_later {
        true => format_ident!("check_no_reply"),
        false => format_ident!("check_result"),
    };
    let returned = result.map(|ty| {
        quote_spanned! { ty.span() =>
            const _: () = ::realtime::handler::#check::<#ty>();
        }
    });
    let future = future(function, &arguments);
    Ok(quote! {
        #[allow(warnings)]
        const _: () = {
            #(#extracted)*
            #returned
            #future
        };
    })
}

fn check_generics(function: &ItemFn) -> syn::Result<()> {
    let expected = "a handler has a type of its own for each of its type parameters: \
                    `debug_handler` can't check a function that is generic";
    let generics = &function.sig.generics;
    let mut generic = generics.params.iter();
    let generic = generic.find(|param| !matches!(param, GenericParam::Lifetime(_)));
    if let Some(param) = generic {
        return Err(syn::Error::new(param.span(), expected));
    }
    for argument in &function.sig.inputs {
        if let FnArg::Typed(argument) = argument
            && let Type::ImplTrait(ty) = &*argument.ty
        {
            return Err(syn::Error::new(ty.span(), expected));
        }
    }
    Ok(())
}

/// The types of the arguments.
fn arguments(function: &ItemFn) -> syn::Result<Vec<&Type>> {
    let inputs = &function.sig.inputs;
    if let Some(ninth) = inputs.iter().nth(ARGUMENTS) {
        let expected = format!(
            "expected at most {ARGUMENTS} arguments; got {}: put some of them into a type of your \
             own that implements `realtime::extract::FromContext`",
            inputs.len()
        );
        return Err(syn::Error::new(ninth.span(), expected));
    }
    let types = inputs.iter().map(|argument| match argument {
        FnArg::Typed(argument) => Ok(&*argument.ty),
        FnArg::Receiver(this) => {
            let expected = "a handler has no `self`: take the value by `State<T>`, or let a closure \
                            capture it";
            Err(syn::Error::new(this.span(), expected))
        }
    });
    types.collect()
}

/// Whether the handler answers by a `Replier`.
fn check_replier(arguments: &[&Type]) -> syn::Result<bool> {
    let is_replier = |ty: &&Type| name(ty).is_some_and(|name| name == "Replier");
    match arguments.iter().position(is_replier) {
        None => Ok(false),
        Some(0) => Ok(true),
        Some(at) => {
            let expected = "a `Replier` is the first argument, since it makes a handler one that \
                            answers later";
            let span = arguments
                .get(at)
                .map_or_else(Span::call_site, |ty| ty.span());
            Err(syn::Error::new(span, expected))
        }
    }
}

/// What the function returns, where that can be checked by itself.
fn result(function: &ItemFn) -> syn::Result<Option<Type>> {
    let returned = match &function.sig.output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) => Some(&**ty),
    };
    if function.sig.asyncness.is_none() {
        let is_future = match returned {
            Some(Type::ImplTrait(_)) => true,
            Some(ty) => name(ty).is_some_and(|name| name == "Pin" || name.ends_with("Future")),
            None => false,
        };
        let expected = "a handler is `async`: write `async fn`";
        return match is_future {
            true => Ok(None),
            false => Err(syn::Error::new(function.sig.fn_token.span(), expected)),
        };
    }
    match returned {
        None => Ok(Some(syn::parse_quote!(()))),
        Some(Type::ImplTrait(_)) => Ok(None),
        Some(ty) => {
            foreign::check(ty)?;
            Ok(Some(ty.clone()))
        }
    }
}

/// The router's state, as far as the arguments say it.
fn state(options: &Options, arguments: &[&Type]) -> syn::Result<Type> {
    if let Some(state) = &options.state {
        return Ok(state.clone());
    }
    let mut found: Option<&Type> = None;
    for state in arguments.iter().filter_map(|ty| inner(ty, "State")) {
        let text = |ty: &Type| ty.to_token_stream().to_string();
        match found {
            Some(other) if text(other) != text(state) => {
                let expected = "there are several states here: name that of the router, by \
                                `#[debug_handler(state = T)]`";
                return Err(syn::Error::new(state.span(), expected));
            }
            _ => found = Some(state),
        }
    }
    Ok(found.cloned().unwrap_or_else(|| syn::parse_quote!(())))
}

/// That the future is `Send`.
fn future(function: &ItemFn, arguments: &[&Type]) -> TokenStream {
    let name = &function.sig.ident;
    let lifetimes = &function.sig.generics;
    let names: Vec<_> = (0..arguments.len())
        .map(|n| format_ident!("argument_{n}"))
        .collect();
    quote_spanned! { name.span() =>
        fn check_future #lifetimes (#(#names: #arguments),*) {
            fn is_send<F: ::core::future::Future + ::core::marker::Send>(_: F) {}
            is_send(#name(#(#names),*));
        }
    }
}

/// The last name of a path.
fn name(ty: &Type) -> Option<String> {
    let Type::Path(ty) = ty else {
        return None;
    };
    ty.path.segments.last().map(|last| last.ident.to_string())
}

/// `T` of `Name<T>`.
fn inner<'t>(ty: &'t Type, name: &str) -> Option<&'t Type> {
    let Type::Path(ty) = ty else {
        return None;
    };
    let last = ty.path.segments.last().filter(|last| last.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}
