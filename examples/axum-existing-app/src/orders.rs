//! Orders over REST: listed, placed, and moved on by the staff, one step after the other.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Shop, live,
    login::{Login, User},
};

/// How many orders there may be, and how many characters their texts may have.
const MOST: usize = 1_000;
const LONGEST: usize = 100;

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Placed,
    Packed,
    Shipped,
    Delivered,
}

impl Status {
    const fn next(self) -> Option<Self> {
        match self {
            Self::Placed => Some(Self::Packed),
            Self::Packed => Some(Self::Shipped),
            Self::Shipped => Some(Self::Delivered),
            Self::Delivered => None,
        }
    }
}

/// An order. One with more steps is newer.
#[derive(Clone, Serialize)]
pub(crate) struct Order {
    pub(crate) id: u64,
    customer: String,
    item: String,
    status: Status,
    steps: Vec<Step>,
}

#[derive(Clone, Serialize)]
struct Step {
    status: Status,
    by: String,
    /// In milliseconds since 1970.
    at: u64,
}

impl Order {
    fn step(&mut self, status: Status, by: &str) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let at = since.unwrap_or_default().as_millis();
        self.status = status;
        self.steps.push(Step {
            status,
            by: by.to_owned(),
            at: at.try_into().unwrap_or(u64::MAX),
        });
    }
}

/// The orders of this process, by their numbers from 1 on. A shop has them in its database.
#[derive(Clone, Default)]
pub(crate) struct Orders(Arc<Mutex<Vec<Order>>>);

impl Orders {
    pub(crate) fn with_samples() -> Self {
        let orders = Self::default();
        for (customer, item) in [("ada", "Earl Grey, 250 g"), ("bob", "Two mugs, blue")] {
            orders.place(&User::new(customer, false), item);
        }
        orders
    }

    /// Those that somebody may see, the newest first.
    fn of(&self, user: &User) -> Vec<Order> {
        let orders = self.lock();
        let seen = orders.iter().rev().filter(|order| may_see(user, order));
        seen.cloned().collect()
    }

    /// One that somebody may see. Others are as if they weren't there.
    pub(crate) fn find(&self, user: &User, id: u64) -> Option<Order> {
        let order = index(id).and_then(|index| self.lock().get(index).cloned());
        order.filter(|order| may_see(user, order))
    }

    /// `None` where there are too many.
    fn place(&self, user: &User, item: &str) -> Option<Order> {
        let mut orders = self.lock();
        if orders.len() >= MOST {
            return None;
        }
        let mut order = Order {
            id: u64::try_from(orders.len()).ok()? + 1,
            customer: user.name.clone(),
            item: item.to_owned(),
            status: Status::Placed,
            steps: Vec::new(),
        };
        order.step(Status::Placed, &user.name);
        orders.push(order.clone());
        Some(order)
    }

    fn move_on(&self, id: u64, to: Status, user: &User) -> Result<Order, Refusal> {
        let mut orders = self.lock();
        let order = index(id).and_then(|index| orders.get_mut(index));
        let order = order.ok_or(NOT_FOUND)?;
        if order.status.next() != Some(to) {
            let message = "That isn't the next step: somebody was quicker.";
            return Err(Refusal(StatusCode::CONFLICT, message));
        }
        order.step(to, &user.name);
        Ok(order.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Order>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn may_see(user: &User, order: &Order) -> bool {
    user.is_staff || order.customer == user.name
}

fn index(id: u64) -> Option<usize> {
    usize::try_from(id).ok()?.checked_sub(1)
}

/// Why not, for the page to show.
struct Refusal(StatusCode, &'static str);

const NOT_FOUND: Refusal = Refusal(StatusCode::NOT_FOUND, "There is no such order.");

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, message) = self;
        (status, Json(json!({ "message": message }))).into_response()
    }
}

pub(crate) fn router() -> Router<Shop> {
    Router::new()
        .route("/api/orders", get(list).post(place))
        .route("/api/orders/{id}", get(show).patch(move_on))
}

async fn list(State(shop): State<Shop>, login: Login) -> impl IntoResponse {
    fresh(shop.orders.of(&login.user))
}

async fn show(
    State(shop): State<Shop>,
    login: Login,
    Path(id): Path<u64>,
) -> Result<impl IntoResponse, Refusal> {
    let order = shop.orders.find(&login.user, id);
    order.map(fresh).ok_or(NOT_FOUND)
}

#[derive(Deserialize)]
struct Place {
    item: String,
}

async fn place(
    State(shop): State<Shop>,
    login: Login,
    Json(Place { item }): Json<Place>,
) -> Result<impl IntoResponse, Refusal> {
    let item = item.trim();
    if item.is_empty() || item.chars().count() > LONGEST {
        let message = "An order has 1 to 100 characters.";
        return Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, message));
    }
    let placed = shop.orders.place(&login.user, item);
    let message = "There are too many orders.";
    let placed = placed.ok_or(Refusal(StatusCode::SERVICE_UNAVAILABLE, message))?;
    Ok((StatusCode::CREATED, Json(placed)))
}

#[derive(Deserialize)]
struct MoveOn {
    to: Status,
}

async fn move_on(
    State(shop): State<Shop>,
    login: Login,
    Path(id): Path<u64>,
    Json(MoveOn { to }): Json<MoveOn>,
) -> Result<impl IntoResponse, Refusal> {
    if !login.user.is_staff {
        return Err(Refusal(StatusCode::FORBIDDEN, "That is for the staff."));
    }
    let order = shop.orders.move_on(id, to, &login.user)?;
    live::tell(&shop.gateway, &order).await; // realtime
    Ok(Json(order))
}

fn fresh(body: impl Serialize) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], Json(body))
}
