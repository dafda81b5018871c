//! Declarations whose types are gone: what a contract holds of them.

use std::any::TypeId;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::{Event, Question, Refusal, Request, Undeclared, request::is_nothing};

/// Makes the schema of a type.
pub(crate) type MakeSchema = fn(&mut SchemaGenerator) -> Schema;

/// A type, or that there is no data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Typed {
    id: TypeId,
    pub(crate) schema: Option<MakeSchema>,
}

impl Typed {
    fn of<T: JsonSchema + 'static>() -> Self {
        let make: MakeSchema = |generator| generator.subschema_for::<T>();
        Self {
            id: TypeId::of::<T>(),
            schema: (!is_nothing::<T>()).then_some(make),
        }
    }
}

impl PartialEq for Typed {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

/// What is heard on a route.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Heard {
    pub(crate) route: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) data: Typed,
}

impl Heard {
    pub(crate) fn of<T: JsonSchema + 'static>(event: Event<T>) -> Self {
        Self {
            route: event.route(),
            summary: event.summary_text(),
            data: Typed::of::<T>(),
        }
    }
}

/// A request of clients.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Of the declaration, with its types.
    pub(crate) id: TypeId,
    pub(crate) route: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) data: Typed,
    pub(crate) reply: Typed,
    /// `None` where any may come.
    pub(crate) errors: Option<MakeSchema>,
}

impl Asked {
    pub(crate) fn of<Q, R, E>(request: Request<Q, R, E>) -> Self
    where
        Q: JsonSchema + 'static,
        R: JsonSchema + 'static,
        E: Errors,
    {
        Self {
            id: TypeId::of::<Request<Q, R, E>>(),
            route: request.route(),
            summary: request.summary_text(),
            data: Typed::of::<Q>(),
            reply: Typed::of::<R>(),
            errors: E::schema(),
        }
    }
}

/// A request of the server.
#[derive(Debug, Clone)]
pub(crate) struct Inquiry {
    pub(crate) route: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) data: Typed,
    pub(crate) answer: Typed,
}

impl Inquiry {
    pub(crate) fn of<Q, A>(question: Question<Q, A>) -> Self
    where
        Q: JsonSchema + 'static,
        A: JsonSchema + 'static,
    {
        Self {
            route: question.route(),
            summary: question.summary_text(),
            data: Typed::of::<Q>(),
            answer: Typed::of::<A>(),
        }
    }
}

/// The errors of a request: a [`Refusal`], or [`Undeclared`].
pub trait Errors: 'static {
    #[doc(hidden)]
    fn schema() -> Option<fn(&mut SchemaGenerator) -> Schema>;
}

impl Errors for Undeclared {
    fn schema() -> Option<fn(&mut SchemaGenerator) -> Schema> {
        None
    }
}

impl<E: Refusal> Errors for E {
    fn schema() -> Option<fn(&mut SchemaGenerator) -> Schema> {
        Some(|generator| generator.subschema_for::<E>())
    }
}
