//! Macros of the `realtime` gateway. Use them through its feature `macros`.

mod foreign;
mod handler;
mod options;

use proc_macro::TokenStream;

/// Makes the compiler say what is wrong with a handler: which argument doesn't fit, what it can't
/// return, why its future isn't `Send`. Of a whole function the compiler can say only that it is no
/// handler.
///
/// It adds no code that runs. Leave it at a handler or take it away again.
///
/// ```
/// use realtime::{Json, Router, Session, debug_handler};
///
/// #[debug_handler]
/// async fn say(session: Session, Json(line): Json<String>) -> Json<usize> {
///     println!("{}: {line}", session.identity_key().id());
///     Json(line.len())
/// }
///
/// let router: Router = Router::new().route("say", say);
/// ```
///
/// With a wrong argument:
///
/// ```compile_fail
/// use realtime::{Session, debug_handler};
///
/// #[debug_handler]
/// async fn say(session: Session, line: String) {}
/// //                                   ^^^^^^ `String` cannot be extracted here
/// ```
///
/// # The state
/// It is taken from the argument `State<T>`, where there is one. Name it where the router's state is
/// another type, of which `T` is a part, and where an extractor of your own needs one:
///
/// ```
/// use realtime::{Router, State, debug_handler, extract::FromRef};
///
/// #[derive(Clone)]
/// struct Database;
///
/// #[derive(Clone)]
/// struct App {
///     database: Database,
/// }
///
/// impl FromRef<App> for Database {
///     fn from_ref(app: &App) -> Self {
///         app.database.clone()
///     }
/// }
///
/// #[debug_handler(state = App)]
/// async fn count(State(_database): State<Database>) {}
///
/// let router: Router = Router::new().route("count", count).with_state(App { database: Database });
/// ```
///
/// # Limits
/// It is for functions outside of an `impl`, without type parameters. What it calls `realtime` is the
/// crate of that name.
#[proc_macro_attribute]
pub fn debug_handler(options: TokenStream, item: TokenStream) -> TokenStream {
    handler::checked(options.into(), item.into()).into()
}
