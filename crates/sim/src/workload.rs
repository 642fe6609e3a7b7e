//! Who does what. Shoppers, shopkeepers and strangers act from tables: a new operation is a function and a
//! line in one of them.

use crate::chance::happens;
use crate::client::{Device, send};
use crate::consumer::Reports;
use crate::shop;
use crate::told::{CartSeen, Told};
use crate::world::{World, admin};
use app::ports::{ChargeStatus, Clock};
use app::{AddItem, Issue, MergeCart, Notice, OpenCart, Operation, OrderQuery, Process, Processed, PutRule, StartCheckout, StockInput};
use domain::cart::Strategy;
use domain::ids::{BookId, CouponCode, EditionId, OrderId, PaymentToken, PromotionId, Version};
use domain::order::{RefundOf, RefundRequest, Status, TRANSITIONS};
use domain::pricing::{Line, Promotion, RuleKey};
use domain::quantity::Quantity;
use domain::refusal::Refusal;
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, join};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// An operation and how often it is chosen.
type Act = (u32, for<'a> fn(&'a Device) -> LocalBoxFuture<'a, ()>);

const SHOPPER: &[Act] = &[
    (8, |d| open(d).boxed_local()),
    (30, |d| add(d).boxed_local()),
    (8, |d| set(d).boxed_local()),
    (2, |d| clear(d).boxed_local()),
    (12, |d| choose_coupons(d).boxed_local()),
    (5, |d| look(d).boxed_local()),
    (1, |d| delete_cart(d).boxed_local()),
    (12, |d| start_checkout(d).boxed_local()),
    (4, |d| update_checkout(d).boxed_local()),
    (22, |d| pay(d).boxed_local()),
    (5, |d| pay_from_two_tabs(d).boxed_local()),
    (8, |d| race(d).boxed_local()),
    (3, |d| cancel_checkout(d).boxed_local()),
    (4, |d| cancel_order(d).boxed_local()),
    (2, |d| change_address(d).boxed_local()),
    (6, |d| meet_challenge(d).boxed_local()),
    (3, |d| take_over(d).boxed_local()),
    (4, |d| snoop(d).boxed_local()),
    (1, |d| leave(d).boxed_local()),
];

const SHOPKEEPER: &[Act] = &[
    (10, |d| reprice(d).boxed_local()),
    (10, |d| restock(d).boxed_local()),
    (30, |d| move_orders_along(d).boxed_local()),
    (2, |d| reject_order(d).boxed_local()),
    (8, |d| pay_back(d).boxed_local()),
    (2, |d| replace_with_another(d).boxed_local()),
    (12, |d| change_rule(d).boxed_local()),
    (4, |d| switch_rule(d).boxed_local()),
    (3, |d| delete_rule(d).boxed_local()),
    (3, |d| issue_codes(d).boxed_local()),
];

async fn act(device: &Device, table: &[Act]) {
    let sum = table.iter().map(|(weight, _)| u64::from(*weight)).sum();
    let mut at = device.below(sum);
    for (weight, operation) in table {
        match at.checked_sub(u64::from(*weight)) {
            Some(left) => at = left,
            None => return operation(device).await,
        }
    }
}

/// Shops for so many steps, as a customer and now and then as a guest.
pub async fn shop(customer: Device, steps: u32) {
    let mut guest = None;
    for _ in 0..steps {
        customer.wait(20_000).await;
        if guest.is_none() && customer.likely(50) {
            guest = become_guest(&customer).await;
        }
        let device = guest.as_ref().filter(|_| customer.likely(250)).unwrap_or(&customer);
        act(device, SHOPPER).await;
        if let Some(arriving) = guest.take_if(|_| customer.likely(80)) {
            merge(&customer, &arriving).await;
        }
    }
    customer.world.shopping.set(customer.world.shopping.get() - 1);
}

/// Changes prices, stock and orders while anybody shops.
pub async fn keep_shop(device: Device) {
    while device.world.shopping.get() > 0 {
        device.wait(30_000).await;
        act(&device, SHOPKEEPER).await;
    }
}

/// Delivers what was published: late, in any order, some of it twice.
pub async fn deliver(world: Rc<World>, reports: Rc<RefCell<Reports>>) {
    let mut chance = world.seed.stream("deliveries");
    let (mut taken, mut waiting) = (0, Vec::new());
    while world.shopping.get() > 0 {
        world.time.sleep(Duration::from_millis(chance.u64(..20_000))).await;
        let published = world.bus.published();
        waiting.extend_from_slice(&published[taken..]);
        taken = published.len();
        chance.shuffle(&mut waiting);
        let some = waiting.len() / 2;
        for event in &waiting[some..] {
            reports.borrow_mut().hear(event);
        }
        let again = chance.usize(..=waiting.len() - some);
        waiting.truncate(some + again);
    }
}

/// The provider tells the shop what has changed: late, some of it twice, until it is heard.
pub async fn tell(world: Rc<World>) {
    let mut chance = world.seed.stream("notices");
    while world.shopping.get() > 0 {
        world.time.sleep(Duration::from_millis(chance.u64(..15_000))).await;
        let mut untold = world.provider.untold(20);
        chance.shuffle(&mut untold);
        for notice in untold.into_iter().take(3) {
            let id = shop::text(&format!("{}.{}", notice.key, notice.number));
            let said = Notice { id, checkout: notice.checkout, attempt: notice.key, at: notice.at };
            let heard = world.ask(|app| async move { app.payment_notice(said).await }.boxed()).await;
            if let Some(Err(error)) = &heard {
                world.violations.judge(error);
            }
            if matches!(heard, Some(Ok(()))) && happens(&mut chance, 700) {
                // Nothing is written down, so nothing can fail.
                drop(world.provider.told(&notice).await);
            }
        }
    }
}

// ---- shoppers: carts

/// A book of the shop and its only edition.
fn pick(device: &Device) -> Option<(BookId, EditionId)> {
    let books = device.world.oracle.borrow().on_sale();
    (!books.is_empty()).then(|| device.one_of(&books))
}

fn few(device: &Device) -> Quantity {
    Quantity::new(device.one_of(&[1, 1, 1, 2, 3])).expect("invariant: a small number")
}

/// One of the coupons, mostly the one everybody is after just now.
fn coupon(device: &Device) -> CouponCode {
    if device.likely(150) {
        let issued = device.world.oracle.borrow().issued(&promotion_id(shop::ISSUED));
        if !issued.is_empty() {
            return issued[device.chance.borrow_mut().usize(..issued.len())].clone();
        }
    }
    if device.likely(600) { shop::coupon_of_the_hour(device.world.time.now()) } else { shop::code(device.one_of(&shop::CODES)) }
}

async fn open(device: &Device) {
    let coupons = device.likely(500).then(|| coupon(device));
    let open = OpenCart { currency: None, items: Vec::new(), coupons: coupons.into_iter().collect() };
    if let Told::Yes(head) = send!(device, "open", false, |app, me, once| app.open_cart(&me, open, once), open) {
        device.saw_cart(&head, None);
        if let (Some((id, _)), Ok(owner)) = (device.cart.get(), device.caller.owner()) {
            device.world.known.borrow_mut().carts.push((owner, id));
        }
    }
}

/// One change of the cart the device knows, sometimes only if it is as it was last seen.
async fn change(device: &Device, operation: Operation) -> Option<(domain::ids::CartId, Option<Version>, Told)> {
    if device.cart.get().is_none() {
        open(device).await;
    }
    let (id, version) = device.cart.get()?;
    let if_match = device.likely(150).then_some(version);
    let operations = vec![operation];
    let told = send!(device, "change", false, |app, me, once| app.change_cart(&me, id, operations, if_match, once), operations);
    if let Told::No(Refusal::CartNotFound) = told {
        device.cart.set(None);
    }
    Some((id, if_match, told))
}

async fn add(device: &Device) {
    let Some((product, edition)) = pick(device) else { return };
    let quantity = few(device);
    let added = (edition, quantity.get());
    match change(device, Operation::Add(AddItem { product, variant: None, quantity })).await {
        Some((_, if_match, Told::Yes(head))) => {
            let next = CartSeen::parse(&head).map(|seen| Version(seen.version));
            if if_match.is_some_and(|version| next != Some(version.next())) {
                device.world.violations.report(format_args!("a conditional add at {if_match:?} led to {next:?}"));
            }
            device.saw_cart(&head, Some(added));
        }
        Some((id, _, Told::Unknown)) => device.world.oracle.borrow_mut().promises.unknown_adds.push((id, edition, quantity.get())),
        Some((_, _, Told::No(_))) | None => {}
    }
}

async fn set(device: &Device) {
    let Some((_, edition)) = pick(device) else { return };
    let quantity = device.likely(600).then(|| few(device));
    changed(device, Operation::Set { item: edition.into(), quantity }).await;
}

async fn clear(device: &Device) {
    changed(device, Operation::Clear).await;
}

async fn choose_coupons(device: &Device) {
    let codes = (0..device.below(3)).map(|_| coupon(device)).collect();
    changed(device, Operation::Coupons(codes)).await;
}

async fn changed(device: &Device, operation: Operation) {
    if let Some((_, _, Told::Yes(head))) = change(device, operation).await {
        device.saw_cart(&head, None);
    }
}

async fn look(device: &Device) {
    let me = device.caller.clone();
    let looked = device.world.ask(|app| async move { app.my_cart(&me).await }.boxed()).await;
    if let Some(Ok(view)) = looked {
        if !crate::sums::adds_up(&view.quote) {
            device.world.violations.report(format_args!("a cart does not add up: {:?}", view.quote));
        }
        device.world.oracle.borrow_mut().shown(&CartSeen::of(&view.cart), None);
    }
}

async fn delete_cart(device: &Device) {
    let Some((id, _)) = device.cart.take() else { return };
    send!(device, "delete", false, |app, me, once| app.delete_cart(&me, id, None, once));
}

/// Takes over a guest's cart, twice when in doubt.
async fn merge(customer: &Device, guest: &Device) {
    if customer.cart.get().is_none() {
        open(customer).await;
    }
    let (Some((id, _)), Some(source_token)) = (customer.cart.get(), guest.token.clone()) else { return };
    let merge = MergeCart { source_token, strategy: customer.one_of(&Strategy::ALL), dry_run: false };
    let once_more = customer.likely(400);
    for _ in 0..=u8::from(once_more) {
        let told = send!(customer, "merge", false, |app, me, once| app.merge_cart(&me, id, merge, None, once), merge);
        if let Told::Yes(head) = told {
            customer.saw_cart(&head, None);
        }
    }
}

async fn become_guest(customer: &Device) -> Option<Device> {
    let opened = customer.world.ask(|app| async move { app.open_session(None).await }.boxed()).await?.ok()?;
    let (caller, chance) = (app::Caller::Guest(opened.session), customer.chance.borrow_mut().fork());
    Some(Device::new(&customer.world, &format!("{}'s guest", customer.name), caller, Some(opened.token), chance))
}

/// Goes away for so long that things expire.
async fn leave(device: &Device) {
    device.wait(50 * 60_000).await;
}

/// A device that was used by the same customer elsewhere finds the newest checkout.
async fn take_over(device: &Device) {
    let me = device.caller.clone();
    let found = device.world.ask(|app| async move { app.checkout(&me, app.which_checkout(&me, None).await?).await }.boxed()).await;
    if let Some(Ok(view)) = found {
        device.saw_checkout(&crate::told::Shown::head(&view));
    }
}

// ---- shoppers: checkouts and orders

async fn start_checkout(device: &Device) {
    let start = StartCheckout { cart: None, details: shop::details(device.likely(200)) };
    let told = send!(device, "check out", false, |app, me, once| app.start_checkout(&me, start, once), start);
    if let Told::Yes(head) = told {
        device.saw_checkout(&head);
        if let (Some(seen), Ok(owner)) = (device.checkout.get(), device.caller.owner()) {
            device.world.known.borrow_mut().checkouts.push((owner, seen.id));
        }
    }
}

async fn update_checkout(device: &Device) {
    let Some(seen) = device.checkout.get() else { return };
    let details = shop::details(device.likely(500));
    let if_match = device.likely(300).then_some(seen.version);
    let told = send!(device, "fill in", false, |app, me, once| app.update_checkout(&me, seen.id, details, if_match, once), details);
    if let Told::Yes(head) = told {
        device.saw_checkout(&head);
    }
}

async fn pay(device: &Device) {
    if device.checkout.get().is_none() {
        start_checkout(device).await;
    }
    if device.likely(200) {
        rush(device).await;
    }
    if let Told::No(Refusal::PriceChanged { total, .. } | Refusal::CartChanged { total }) = pay_once(device).await {
        let seen = device.checkout.get();
        device.checkout.set(seen.map(|seen| crate::client::CheckoutSeen { total, ..seen }));
        pay_once(device).await;
    }
}

/// Is after the coupon of the hour and the last copy, like everybody else at the full minute.
async fn race(device: &Device) {
    changed(device, Operation::Clear).await;
    changed(device, Operation::Coupons(vec![shop::coupon_of_the_hour(device.world.time.now())])).await;
    add(device).await;
    start_checkout(device).await;
    rush(device).await;
    pay_once(device).await;
}

/// Waits for the full minute.
async fn rush(device: &Device) {
    const MINUTE_MICROS: i64 = 60_000_000;
    let past = device.world.time.now().micros() % MINUTE_MICROS;
    let left = Duration::from_micros(u64::try_from(MINUTE_MICROS - past).expect("invariant: less than a minute has passed"));
    device.world.time.sleep(left).await;
}

async fn pay_from_two_tabs(device: &Device) {
    join(pay_once(device), pay_once(device)).await;
}

async fn pay_once(device: &Device) -> Told {
    let Some(seen) = device.checkout.get() else { return Told::Unknown };
    let expected_total = if device.likely(60) { shop::usd(seen.total.minor() / 2) } else { seen.total };
    let token = PaymentToken::parse(device.one_of(&shop::TOKENS)).expect("invariant: a token");
    let process = Process { checkout: seen.id, token, expected_total, return_url: None, if_match: None };
    device.world.oracle.borrow_mut().promises.agree(seen.id, expected_total);
    let told = send!(device, "pay", true, |app, me, once| pay_with(app, me, process, once), process);
    match &told {
        Told::Yes(head) => paid(device, head),
        Told::No(Refusal::OutOfStock { short }) => {
            if let Some(enough) = short.iter().find(|s| s.wanted <= s.available) {
                device.world.violations.report(format_args!("refused though there is enough: {enough:?}"));
            }
        }
        Told::No(_) | Told::Unknown => {}
    }
    told
}

/// `process` always has a key.
async fn pay_with(
    app: std::sync::Arc<app::App>,
    me: app::Caller,
    process: Process,
    once: Option<app::Once<Processed>>,
) -> Result<app::Answered<Processed>, app::Error> {
    app.process(&me, process, once.expect("invariant: sent with a key")).await
}

fn paid(device: &Device, head: &str) {
    if let (Some(order), Ok(owner)) = (OrderId::parse(head), device.caller.owner()) {
        device.order.set(Some(order));
        device.checkout.set(None);
        device.world.known.borrow_mut().orders.push((owner, order));
    }
}

/// Some customer is at the provider and approves, or not; then the device comes back to the shop.
async fn meet_challenge(device: &Device) {
    let provider = &device.world.provider;
    let charges = provider.charges();
    let asked: Vec<_> = charges.iter().filter(|(_, c)| matches!(c.status, ChargeStatus::Challenged { .. })).map(|(key, _)| *key).collect();
    if !asked.is_empty() {
        // Nothing is written down, so nothing can fail.
        drop(provider.answer_challenge(device.one_of(&asked), device.likely(700)).await);
    }
    let Some(seen) = device.checkout.get() else { return };
    let me = device.caller.clone();
    let resumed = device.world.ask(|app| async move { app.resume_checkout(&me, seen.id).await }.boxed()).await;
    if let Some(Ok(Processed::Completed(order))) = resumed {
        paid(device, &order.id.to_string());
    }
}

async fn cancel_checkout(device: &Device) {
    let Some(seen) = device.checkout.get() else { return };
    send!(device, "cancel checkout", false, |app, me, once| app.cancel_checkout(&me, seen.id, None, once));
}

async fn cancel_order(device: &Device) {
    let Some(id) = device.order.get() else { return };
    send!(device, "cancel order", false, |app, me, once| app.cancel_order(&me, id, None, None, once));
}

async fn change_address(device: &Device) {
    let Some(id) = device.order.get() else { return };
    let address = shop::address(device.one_of(&["1 Main Street", "2 Side Street"]));
    send!(device, "change address", false, |app, me, once| app.change_order_address(&me, id, address, None, once), address);
}

/// Tries what belongs to others. Nothing of it may succeed.
async fn snoop(device: &Device) {
    let Ok(owner) = device.caller.owner() else { return };
    let (cart, checkout, order) = device.world.known.borrow().newest_of_others(&owner);
    let got_through = |told: Told, what: &str| {
        if matches!(told, Told::Yes(_)) {
            device.world.violations.report(format_args!("{} got at another's {what}", device.name));
        }
    };
    match (device.below(4), cart, checkout, order) {
        (0, Some(id), ..) => {
            let operations = vec![Operation::Clear];
            let told = send!(device, "steal", false, |app, me, once| app.change_cart(&me, id, operations, None, once), operations);
            got_through(told, "cart");
        }
        (1, _, Some(id), _) => {
            got_through(send!(device, "steal", false, |app, me, once| app.cancel_checkout(&me, id, None, once)), "checkout");
        }
        (2, _, _, Some(id)) => {
            got_through(send!(device, "steal", false, |app, me, once| app.cancel_order(&me, id, None, None, once)), "order");
        }
        (3, Some(id), ..) => {
            got_through(send!(device, "steal", false, |app, me, once| app.delete_cart(&me, id, None, once)), "cart");
        }
        _ => {}
    }
}

// ---- shopkeepers

async fn reprice(device: &Device) {
    let Some((id, _)) = pick(device) else { return };
    let Some(n) = device.world.oracle.borrow().number_of(id) else { return };
    let price = i64::try_from(300 + device.below(2_000)).expect("invariant: a small number");
    let sale_price = device.likely(300).then_some(price - 100);
    let book = shop::book(n, price, sale_price);
    send!(device, "reprice", false, |app, me, once| app.replace_book(&me, id, book, None, once), book);
}

/// Takes a book off the shelf, and puts a new one there.
async fn replace_with_another(device: &Device) {
    let Some((id, _)) = pick(device) else { return };
    send!(device, "withdraw", false, |app, me, once| app.delete_book(&me, id, None, once));
    let n = device.world.fresh_number();
    let book = shop::book(n, 700, None);
    send!(device, "publish", false, |app, me, once| app.create_book(&me, book, once), book);
}

async fn restock(device: &Device) {
    let Some((id, edition)) = pick(device) else { return };
    let input =
        if device.likely(700) { StockInput::Delta(device.one_of(&[-1, 2, 4, 6])) } else { StockInput::Set(device.one_of(&[0, 1, 3, 6])) };
    let reason = shop::text("simulated");
    send!(device, "restock", false, |app, me, once| app.move_stock(&me, id, edition, input, reason, once), reason);
}

fn promotion_id(name: &str) -> PromotionId {
    PromotionId::parse(name).expect("invariant: an id")
}

/// One of the promotions as it is from now on; it comes back when it was taken away.
async fn put_promotion(device: &Device, active: bool) {
    let (name, Some((_, gift))) = (device.one_of(&shop::PROMOTIONS), pick(device)) else { return };
    let rule = Promotion { active, ..shop::promotion(name, device.world.fresh_change(), gift) };
    let creates = device.world.oracle.borrow().lacks(&rule.id);
    let put = PutRule { rule: rule.into(), if_match: None, creates, reason: Some(shop::text("simulated")) };
    send!(device, "put rule", false, |app, me, once| app.put_rule(&me, put, once), put);
}

async fn change_rule(device: &Device) {
    put_promotion(device, true).await;
}

async fn switch_rule(device: &Device) {
    put_promotion(device, device.likely(300)).await;
}

async fn delete_rule(device: &Device) {
    let key = RuleKey::promotion(&promotion_id(device.one_of(&shop::PROMOTIONS)));
    send!(device, "delete rule", false, |app, me, once| app.delete_rule(&me, key, None, None, once), key);
}

/// More than are written at once, now and then.
async fn issue_codes(device: &Device) {
    let (promotion, count) = (promotion_id(shop::ISSUED), device.one_of(&[1, 2, 3, 700]));
    let issue = Issue { count, prefix: None, uses_max: Some(1) };
    send!(device, "issue codes", false, |app, me, once| app.issue_codes(&me, promotion, issue, None, once), promotion, issue);
}

async fn any_order(device: &Device) -> Option<(OrderId, Status)> {
    let query = OrderQuery { limit: 100, ..OrderQuery::default() };
    let page = device.world.ask(|app| async move { app.orders(&admin(), query).await }.boxed()).await?.ok()?;
    let orders: Vec<_> = page.items.iter().map(|o| (o.id, o.status)).collect();
    (!orders.is_empty()).then(|| device.one_of(&orders))
}

async fn move_orders_along(device: &Device) {
    let Some((id, status)) = any_order(device).await else { return };
    let steps = TRANSITIONS.iter().filter(|(_, to)| *to != Status::Canceled);
    let next: Vec<_> = steps.filter(|(from, _)| *from == status || device.likely(20)).map(|(_, to)| *to).collect();
    let Some(to) = (!next.is_empty()).then(|| device.one_of(&next)) else { return };
    send!(device, "move order", false, |app, me, once| app.change_order_status(&me, id, to, None, once));
}

async fn pay_back(device: &Device) {
    let Some((id, _)) = any_order(device).await else { return };
    let Some((_, edition)) = pick(device) else { return };
    let amount = shop::usd(i64::try_from(1 + device.below(500)).expect("invariant: a small number"));
    let what = if device.likely(500) { RefundOf::Amount(amount) } else { RefundOf::Items(vec![Line { edition, quantity: few(device) }]) };
    let restock = device.likely(300).then(|| device.likely(500));
    let request = RefundRequest { what, restock, reason: None };
    send!(device, "pay back", false, |app, me, once| app.refund_order(&me, id, request, None, once), request);
}

async fn reject_order(device: &Device) {
    let Some((id, _)) = any_order(device).await else { return };
    send!(device, "reject order", false, |app, me, once| app.cancel_order(&me, id, None, None, once));
}
