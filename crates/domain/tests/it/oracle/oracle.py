"""Prices carts a second time, from docs/money.md alone, and compares.

Reads lines of JSON, each `{"seed": …, "input": …, "quote": …}`, from standard input. Prints the first differences, each with its
input, and exits with 1 when a quote differs. Standard library only; all arithmetic is on integers and fractions.
"""

import json
import math
import sys
from collections import Counter
from fractions import Fraction

MILLION = 1_000_000
AMOUNT_MAX = 2**53 - 1
DECIMALS = {"JPY": 0, "USD": 2, "EUR": 2, "KWD": 3}
SHIPPED = ("hardcover", "paperback")
SHIPPING = -1  # the key of shipping where amounts are kept by line
PRINTED_MAX = 5


# Arithmetic

def rounded(exact, how):
    """A fraction as a whole number; no amount here is negative."""
    if how == "down":
        return math.floor(exact)
    if how == "half_up":
        return math.floor(exact + Fraction(1, 2))
    return round(exact)  # Python rounds a tie of fractions to the even neighbor


def allocate(whole, weights):
    """Largest remainder; the earlier part first when they tie."""
    if not any(weights):
        weights = [1] * len(weights)
    exact = [Fraction(whole * weight, sum(weights)) for weight in weights]
    parts = [math.floor(share) for share in exact]
    by_remainder = sorted(range(len(parts)), key=lambda n: parts[n] - exact[n])
    for n in by_remainder[:whole - sum(parts)]:
        parts[n] += 1
    return parts


def off(rule, worth, times):
    """What a rule takes off goods that are worth so much."""
    if "rate" in rule:
        return rounded(Fraction(worth * rule["rate"], MILLION), "half_even")
    if "amount" in rule:
        return min(rule["amount"]["minor"] * times, worth)
    return worth - min(rule["price"]["minor"] * times, worth)


def currencies(rule):
    """Of every amount anywhere in a rule."""
    if isinstance(rule, list):
        return set().union(*map(currencies, rule))
    if not isinstance(rule, dict):
        return set()
    if "minor" in rule:
        return {rule["currency"]}
    return set().union(*map(currencies, rule.values()))


class TooLarge(Exception):
    """An amount is outside the range of exact integers."""


def in_range(amount):
    if amount > AMOUNT_MAX:
        raise TooLarge
    return amount


# Goods

def converted(case, amount):
    """An amount in the currency of the cart; None without a rate."""
    start, end = amount["currency"], case["currency"]
    if start == end:
        return amount["minor"]
    begun = [r for r in case["rates"] if (r["from"], r["to"]) == (start, end) and r["since"] <= case["now"]]
    if not begun:
        return None
    rate = Fraction(max(begun, key=lambda r: r["since"])["billionths"], 10**9)
    units = Fraction(amount["minor"], 10 ** DECIMALS[start])
    return in_range(rounded(units * rate * 10 ** DECIMALS[end], "half_even"))


def goods_line(case, edition, quantity, gift=False):
    """A line of goods; None when it cannot be sold in this currency."""
    offer = case["offers"].get(str(edition))
    unit = offer and converted(case, offer["unit"])
    if unit is None:
        return None
    names = {f"edition/{edition}", f"book/{offer['book']}", f"format/{offer['format']}", *offer["headings"]}
    before = in_range(converted(case, offer["list"]) * quantity)
    total = unit * quantity
    return {"edition": edition, "quantity": quantity, "gift": gift, "names": names, "saved": before - total, "total": total, "left": total,
            "format": offer["format"], "available": offer["available"], "weight": offer["weight_g"]}


def copies(line):
    """What each copy is worth, the cheapest first."""
    floor, dear = divmod(line["left"], line["quantity"])
    return [floor] * (line["quantity"] - dear) + [floor + 1] * dear


def matching(target, lines):
    """Numbers of the lines a target names."""
    def named(line):
        wanted = not target["any"] or line["names"] & set(target["any"])
        return wanted and not line["names"] & set(target["except"]) and not (target["full_price_only"] and line["saved"] > 0)
    return [n for n, line in enumerate(lines) if named(line)]


def count(lines, numbers):
    return sum(lines[n]["quantity"] for n in numbers)


# Benefits: each gives what it takes off by line, and the facts of its reason; or why it takes nothing.

class Nothing(Exception):
    """A promotion takes nothing off; the argument says why."""


def each(b, lines):
    found = matching(b["of"], lines)
    return off_each(b["off"], lines, found), {"kind": "each", "copies": count(lines, found), "of": left(lines, found)}


def off_each(rule, lines, numbers):
    if not numbers:
        raise Nothing("nothing_matches")
    return {n: off(rule, lines[n]["left"], lines[n]["quantity"]) for n in numbers}


def left(lines, numbers):
    return sum(lines[n]["left"] for n in numbers)


def tiers(b, lines):
    found = matching(b["of"], lines)
    have = count(lines, found)
    reached = [tier for tier in b["tiers"] if tier["from"] <= have]
    if not reached:
        raise Nothing("below_copies")
    tier = max(reached, key=lambda tier: tier["from"])
    return off_each(tier["off"], lines, found), {"kind": "tier", "from": tier["from"], "copies": have, "of": left(lines, found)}


def one_by_one(lines, numbers):
    """Every copy as its line and its worth, the cheapest first, of equals the earlier line."""
    return sorted(((n, worth) for n in numbers for worth in copies(lines[n])), key=lambda copy: (copy[1], copy[0]))


def buy_get(b, lines):
    buy, get = matching(b["buy"], lines), matching(b["get"], lines)
    if not get:
        raise Nothing("nothing_matches")
    queue = one_by_one(lines, get)
    queue = queue if b["times_max"] is None else queue[:b["times_max"] * b["get_count"]]
    bought, k = count(lines, buy), 0
    for so_many, (n, _) in enumerate(queue, 1):
        bought -= n in buy
        if bought >= b["buy_count"] * math.ceil(Fraction(so_many, b["get_count"])):
            k = so_many
    if k == 0:
        raise Nothing("below_copies")
    worth = Counter()
    for n, value in queue[:k]:
        worth[n] += value
    parts = {n: rounded(Fraction(w * b["off"], MILLION), "half_even") for n, w in worth.items()}
    return parts, {"kind": "buy_get", "bought": b["buy_count"], "gotten": k, "of": worth.total()}


def bundle(b, lines):
    free, stacks = set(range(len(lines))), []
    for part in b["parts"]:
        mine = [n for n in matching(part["of"], lines) if n in free]
        free -= set(mine)
        stacks.append(sorted(one_by_one(lines, mine), key=lambda copy: -copy[1]))
    sets = min(len(stack) // part["count"] for stack, part in zip(stacks, b["parts"]))
    sets = sets if b["times_max"] is None else min(sets, b["times_max"])
    if sets == 0:
        raise Nothing("below_copies")

    def taken(s):
        return [copy for stack, part in zip(stacks, b["parts"]) for copy in stack[:s * part["count"]]]

    def worth(s):
        return sum(value for _, value in taken(s))

    if "price" in b["off"]:
        sets = next((s for s in range(sets) if worth(s + 1) - worth(s) <= b["off"]["price"]["minor"]), sets)
        if sets == 0:
            raise Nothing("nothing_left")
    weights = Counter()
    for n, value in taken(sets):
        weights[n] += value
    amount = off(b["off"], worth(sets), sets)
    return spread(amount, weights), {"kind": "bundle", "sets": sets, "of": worth(sets)}


def spread(amount, weights):
    """An amount by line, divided by weights by line."""
    numbers = sorted(weights)
    return dict(zip(numbers, allocate(amount, [weights[n] for n in numbers])))


def goods(b, lines):
    found = matching(b["of"], lines)
    [off_kind] = b["off"]
    kind = {"rate": "percentage", "amount": "fixed", "price": "price"}[off_kind]
    return off_sum(b["off"], lines, found), {"kind": kind, "of": left(lines, found)}


def off_sum(rule, lines, numbers):
    if not numbers:
        raise Nothing("nothing_matches")
    return spread(off(rule, left(lines, numbers), 1), {n: lines[n]["left"] for n in numbers})


def spend(b, lines):
    subtotal = sum(line["total"] for line in lines)
    reached = [tier for tier in b["tiers"] if tier["from"]["minor"] <= subtotal]
    if not reached:
        raise Nothing("below_minimum")
    tier = max(reached, key=lambda tier: tier["from"]["minor"])
    found = range(len(lines))
    return off_sum(tier["off"], lines, found), {"kind": "spend", "from": tier["from"]["minor"], "of": left(lines, found)}


def gift(b, lines):
    cheapest, n = min((copies(line)[0], n) for n, line in enumerate(lines) if line["edition"] == b["edition"])
    return {n: cheapest}, {"kind": "gift"}


def added_gift(case, edition, room):
    """A copy that is free altogether."""
    offer = case["offers"].get(str(edition))
    if offer is None or offer["available"] == 0:
        raise Nothing("out_of_stock")
    line = goods_line(case, edition, 1, gift=True)
    if line is None:
        raise Nothing("other_currency")
    if line["total"] == 0:
        raise Nothing("nothing_left")
    if room is not None and room < line["total"]:
        raise Nothing("exhausted")
    return line


BENEFITS = {"each": each, "tiers": tiers, "buy_get": buy_get, "bundle": bundle, "goods": goods, "spend": spend, "gift": gift}


def take_off(case, turn, lines, shipping):
    """What a promotion takes off these goods (a gift may be added to them) or this price of shipping, and the facts of its reason."""
    promotion = turn["promotion"]
    b = promotion["benefit"]
    room, limit = most(case, promotion)
    if b["kind"] == "shipping":
        parts, reason = {SHIPPING: off(b["off"], shipping, 1)}, {"kind": "shipping", "of": shipping}
    else:
        if b["kind"] == "gift" and not any(line["edition"] == b["edition"] for line in lines):
            lines.append(added_gift(case, b["edition"], room))
        parts, reason = BENEFITS[b["kind"]](b, lines)
    if not any(parts.values()):
        raise Nothing("nothing_left")
    if room is None or sum(parts.values()) <= room:
        return parts, {**reason, "limited": None}
    return spread(room, parts), {**reason, "limited": limit}


def most(case, promotion):
    """The most a promotion may take off this order, and what says so."""
    limits = []
    if promotion["cap"]:
        limits.append((promotion["cap"]["minor"], "cap"))
    if promotion["budget"]["amount"]:
        limits.append((promotion["budget"]["amount"]["minor"] - used(case, f"spent/{promotion['id']}"), "budget"))
    return min(limits, key=lambda limit: limit[0], default=(None, None))  # the cap of equals


# Which promotions apply

def used(case, counter):
    return case["usage"].get(counter, 0)


def in_turn(case):
    """Every promotion that is automatic or was asked for, in order, goods before shipping."""
    def place(turn):
        kind = turn["promotion"]["benefit"]["kind"]
        rank = (-turn["promotion"]["priority"], turn["promotion"]["id"])
        late = {"gift": 3, "shipping": 5}.get(kind)
        if turn["code"] is not None:
            return (2 if late is None else late + 1, turn["nth"])
        return (late or (1 if kind in ("goods", "spend") else 0), rank)

    by_id = {p["id"]: p for p in case["promotions"]}
    automatic = [{"promotion": p, "code": None} for p in case["promotions"] if p["automatic"]]
    given, unknown, seen = [], [], set()
    for nth, code in enumerate(case["codes"]):
        promotion = by_id.get(code["promotion"])
        if promotion is None or promotion["automatic"] or promotion["id"] in seen:
            unknown.append((code["code"], promotion and promotion["id"], "given_twice" if promotion else "unknown"))
            continue
        seen.add(promotion["id"])
        given.append({"promotion": promotion, "code": code, "nth": nth})
    return sorted(automatic + given, key=place), unknown


def why_not(case, turn, lines):
    """Why a promotion cannot apply whatever the others do; None when it may."""
    p, code, shopper = turn["promotion"], turn["code"], case["shopper"]
    needs, budget, known = p["needs"], p["budget"], shopper["orders"] is not None
    subtotal = sum(line["total"] for line in lines)
    start, end = p["window"]
    local = case["local"]
    if not p["active"]:
        return "inactive"
    if start is not None and case["now"] < start:
        return "not_yet"
    if end is not None and case["now"] >= end:
        return "ended"
    if p["hours"] and not any(day == local["weekday"] and a <= local["minute"] < b for day, a, b in p["hours"]):
        return "off_hours"
    limits = [(f"uses/{p['id']}", budget["uses"]), (f"spent/{p['id']}", budget["amount"] and budget["amount"]["minor"])]
    limits += [(f"code/{code['code']}", code["uses_max"])] if code else []
    if any(limit is not None and used(case, counter) >= limit for counter, limit in limits):
        return "exhausted"
    each_max = uses_each(p)
    if shopper["who"] and each_max is not None and used(case, f"by/{shopper['who']}/{p['id']}") >= each_max:
        return "used_by_shopper"
    if currencies(p) - {case["currency"]}:
        return "other_currency"
    if needs["minimum"] and needs["minimum"]["basis"] == "subtotal" and subtotal < needs["minimum"]["amount"]["minor"]:
        return "below_minimum"
    if needs["copies"] and count(lines, matching(needs["copies"]["of"], lines)) < needs["copies"]["count"]:
        return "below_copies"
    if needs["segments"] and not set(needs["segments"]) & set(shopper["segments"]):
        return "not_in_segment" if known else "needs_customer"
    if needs["first_order"] and shopper["orders"] != 0:
        return "not_first_order" if known else "needs_customer"
    if needs["birthday_within_days"] is not None:
        if shopper["birthday"] is None:
            return "needs_customer"
        if days_apart(shopper["birthday"], local["date"]) > needs["birthday_within_days"]:
            return "not_birthday"
    return {None: None, "holds": None, "not": "condition_unmet", "broken": "condition_failed"}[needs["expression"]]


def uses_each(promotion):
    """How often one person may use it; a first order is only once."""
    limits = [promotion["budget"]["uses_each"], 1 if promotion["needs"]["first_order"] else None]
    return min((limit for limit in limits if limit is not None), default=None)


def days_apart(one, other):
    """The shorter way round a leap year."""
    months = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    apart = abs(sum(months[:one[0] - 1]) + one[1] - sum(months[:other[0] - 1]) - other[1])
    return min(apart, sum(months) - apart)


def below_discounted(turn, goods_left):
    minimum = turn["promotion"]["needs"]["minimum"]
    return bool(minimum) and minimum["basis"] == "discounted" and goods_left < minimum["amount"]["minor"]


def contest(case, turns, lines, shipping):
    """Decides exclusive ones and groups on untouched goods: who is kept away, and by which words."""
    goods_left = left(lines, range(len(lines)))

    def worth(turn):
        if below_discounted(turn, goods_left):
            return 0
        try:
            return sum(take_off(case, turn, [dict(line) for line in lines], shipping)[0].values())
        except Nothing:
            return 0

    alone = [t for t in turns if t["promotion"]["stacking"] == "exclusive" and worth(t) > 0]
    if alone:
        winner = max(alone, key=lambda t: t["promotion"]["priority"])  # the first of equals
        return [(t, f"excluded by {winner['promotion']['id']}") for t in turns if t is not winner], winner
    groups = {}
    for turn in turns:
        if isinstance(turn["promotion"]["stacking"], dict):
            groups.setdefault(turn["promotion"]["stacking"]["best_of"], []).append(turn)
    losers = []
    for group in groups.values():
        best = max(group, key=lambda t: (worth(t), t["promotion"]["priority"]))
        losers += [(t, f"better_in_group by {best['promotion']['id']}") for t in group if t is not best and worth(t) > 0]
    return losers, None


# A quote

class Sheet:
    """One computation: goods, what was taken off, and the reasons."""

    def __init__(self, case, lines):
        self.case, self.lines = case, [dict(line) for line in lines]
        self.shipping, self.option, self.shipping_settled = 0, None, False
        self.adjustments, self.refused, self.applied = [], [], []
        self.tax = [0] * len(lines)
        self.tax_sum, self.included = 0, False
        for n, line in enumerate(self.lines):
            if line["saved"] > 0:
                self.adjust("sale", "SALE", {n: -line["saved"]}, {"kind": "sale"})

    def worth(self):
        return sum(line["left"] for line in self.lines)

    def adjust(self, kind, code, parts, reason):
        shares = Counter()
        for n, part in parts.items():
            if n != SHIPPING:
                shares[self.lines[n]["edition"]] += part
        self.adjustments.append({"kind": kind, "code": code, "amount": sum(parts.values()), "reason": reason,
                                 "shares": {str(item): part for item, part in shares.items() if part}})

    def take(self, turn):
        """A promotion's turn: applies it, or raises Nothing."""
        p, code = turn["promotion"], turn["code"]
        if p["benefit"]["kind"] == "shipping" and self.option is None:
            raise Nothing("no_shipping")
        if self.case["stack_max"] is not None and len(self.applied) >= self.case["stack_max"]:
            raise Nothing("stack_full")
        if below_discounted(turn, self.worth()):
            raise Nothing("below_minimum")
        parts, reason = take_off(self.case, turn, self.lines, self.shipping)
        self.tax += [0] * (len(self.lines) - len(self.tax))
        for n, part in parts.items():
            if n == SHIPPING:
                self.shipping -= part
            else:
                self.lines[n]["left"] -= part
        self.applied.append((turn, sum(parts.values())))
        kind = "shipping" if p["benefit"]["kind"] == "shipping" else "coupon" if code else "promotion"
        self.adjust(kind, code["code"] if code else p["id"], {n: -part for n, part in parts.items()}, reason)

    def take_turns(self, turns, losers):
        kept_away = {id(turn): why for turn, why in losers}
        for turn in turns:
            try:
                if id(turn) in kept_away:
                    raise Nothing(kept_away[id(turn)])
                self.take(turn)
            except Nothing as nothing:
                self.refuse(turn, nothing.args[0])

    def refuse(self, turn, why):
        self.refused.append((turn["code"] and turn["code"]["code"], turn["promotion"]["id"], why))


def quoted(case):
    priced = [goods_line(case, line["edition"], line["quantity"]) for line in sorted(case["lines"], key=lambda line: line["edition"])]
    lines = [line for line in priced if line]
    turns, unknown = in_turn(case)
    aside = {id(turn): why_not(case, turn, lines) for turn in turns}
    shipping = [turn for turn in turns if turn["promotion"]["benefit"]["kind"] == "shipping" and not aside[id(turn)]]
    sheet, winner = discounted(case, lines, [turn for turn in turns if turn not in shipping], aside)
    ship(case, sheet)
    losers, _ = contest(case, shipping, sheet.lines, sheet.shipping)
    if winner:
        losers = [(turn, f"excluded by {winner['promotion']['id']}") for turn in shipping]
    sheet.take_turns(shipping, losers)
    tax(case, sheet)
    for turn in turns:
        why = aside[id(turn)]
        if why and (turn["code"] or why != "inactive"):
            sheet.refuse(turn, why)
    sheet.refused += unknown
    return answer(case, sheet)


def discounted(case, lines, turns, aside):
    """Goods after promotions. Minimums of discounted goods hold in the end, or their promotions are set aside."""
    while True:
        sheet = Sheet(case, lines)
        able = [turn for turn in turns if not aside[id(turn)]]
        losers, winner = contest(case, able, sheet.lines, 0)
        sheet.take_turns(able, losers)
        untrue = next((turn for turn, amount in sheet.applied if below_discounted(turn, sheet.worth() + amount)), None)
        if untrue is None:
            return sheet, winner
        aside[id(untrue)] = "below_minimum"


# Shipping

def closeness(place, to):
    """None elsewhere; a range of postal codes is closer than a city, a city than a region, a region than its country."""
    def plain(code):
        return (code or "").replace(" ", "").replace("-", "").upper()

    if place["country"] != to["country"]:
        return None
    postal = place["postal"]
    there = postal and plain(to["postal_code"])[:len(plain(postal[0]))]
    named = [
        postal and len(there) == len(plain(postal[0])) and plain(postal[0]) <= there <= plain(postal[1]),
        place["city"] and place["city"].lower() == (to["city"] or "").lower(),
        place["region"] and place["region"] == to["region"],
    ]
    return None if False in named else tuple(bool(part) for part in named)


def ship(case, sheet):
    """Chooses the option and its price."""
    to = case["destination"]
    if not any(line["format"] in SHIPPED for line in sheet.lines):
        sheet.shipping_settled = True
        if to is not None and sheet.lines:
            sheet.adjust("shipping", "DIGITAL", {}, {"kind": "nothing_to_ship"})
        return
    if to is None:
        return
    going = [o for o in case["shipping"] if o["active"] and currencies(o["scale"]) == {case["currency"]}
             and (not o["zones"] or any(closeness(zone, to) is not None for zone in o["zones"]))]
    if case["chosen"] is not None:
        going = [o for o in going if o["id"] == case["chosen"]]
    if not going:
        return
    prices = [shipping_price(option, sheet) for option in going]
    price, reason = min(prices, key=lambda price: price[0])  # the first of equals
    sheet.option = going[prices.index((price, reason))]["id"]
    sheet.shipping, sheet.shipping_settled = price, True
    sheet.adjust("shipping", sheet.option, {SHIPPING: price}, {"kind": reason})


def shipping_price(option, sheet):
    if option["free_from"] and sheet.worth() >= option["free_from"]["minor"]:
        return 0, "shipping_free"
    parcels = parcels_of(sheet, option["per_parcel"])
    return sum(scale_price(option["scale"], weight, worth) for weight, worth in parcels), "shipping_price"


def parcels_of(sheet, apart):
    """Weight and worth of the lines that are all there, and of the others, when they travel apart."""
    parcels = {}
    for line in sheet.lines:
        if line["format"] in SHIPPED:
            parcel = parcels.setdefault(apart and line["quantity"] > line["available"], [0, 0])
            parcel[0] += line["quantity"] * line["weight"]
            parcel[1] += line["left"]
    return parcels.values()


def scale_price(scale, weight, worth):
    if "flat" in scale:
        return scale["flat"]["minor"]
    if "weight" in scale:
        steps, measure = [(step["from"], step["price"]["minor"]) for step in scale["weight"]], weight
    else:
        steps, measure = [(step["from"]["minor"], step["price"]["minor"]) for step in scale["amount"]], worth
    return max(step for step in steps if step[0] <= measure)[1]


# Tax

def rates_on(case, goods_format):
    """Of every tax the rate of the closest place, one for the format before one for all."""
    best = {}
    for rate in case["taxes"]:
        start, end = rate["window"]
        close = closeness(rate["place"], case["destination"])
        holds = (start is None or start <= case["now"]) and (end is None or case["now"] < end)
        if holds and close is not None and (not rate["formats"] or goods_format in rate["formats"]):
            rank = (close, bool(rate["formats"]))
            if rate["tax"] not in best or rank > best[rate["tax"]][0]:
                best[rate["tax"]] = (rank, rate)
    return [best[name][1] for name in sorted(best)]


def tax(case, sheet):
    if case["destination"] is None:
        return
    taxed = {}  # by number of the rate: what it is on, as amount and all included rates
    entries = [(n, line["left"], rates_on(case, line["format"])) for n, line in enumerate(sheet.lines)]
    shipped = next((rates for n, _, rates in entries if sheet.lines[n]["format"] in SHIPPED), [])
    if sheet.shipping > 0:
        entries.append((SHIPPING, sheet.shipping, [rate for rate in shipped if rate["shipping_taxed"]]))
    for n, amount, rates in entries:
        inside = sum(rate["rate"] for rate in rates if rate["included"])
        for rate in rates:
            taxed.setdefault((case["taxes"].index(rate), inside), {})[n] = (amount, inside)
    levied = [(case["taxes"][number], bases) for (number, _), bases in taxed.items()]
    sheet.included = any(rate["included"] for rate, _ in levied)
    if case["shopper"]["tax_exempt"]:
        relieve(sheet, levied)
    else:
        for rate, bases in levied:
            levy(sheet, rate, bases)


def tax_parts(rate, bases):
    exact = {n: Fraction(amount * rate["rate"], MILLION + (inside if rate["included"] else 0)) for n, (amount, inside) in bases.items()}
    if rate["level"] == "line":
        return {n: rounded(share, rate["rounding"]) for n, share in exact.items()}
    whole = rounded(sum(exact.values()), rate["rounding"])
    return dict(zip(bases, allocate(whole, [amount for amount, _ in bases.values()])))


def levy(sheet, rate, bases):
    of, place = sum(amount for amount, _ in bases.values()), rate["place"]
    if of == 0:
        return
    parts = tax_parts(rate, bases)
    for n, part in parts.items():
        if n != SHIPPING:
            sheet.tax[n] += part
    sheet.tax_sum += sum(parts.values())
    code = f"{place['country']}-{place['region']}" if place["region"] else place["country"]
    sheet.adjust("tax", code, parts, {"kind": "tax", "of": of})


def relieve(sheet, levied):
    """Takes taxes that are inside the prices out of them."""
    relief, of = Counter(), {}
    for rate, bases in levied:
        if not rate["included"]:
            continue
        parts = tax_parts(rate, bases)
        if SHIPPING in parts:
            part = parts.pop(SHIPPING)
            sheet.shipping -= part
            sheet.adjust("shipping", "EXEMPT", {SHIPPING: -part}, {"kind": "exempt", "of": bases[SHIPPING][0]})
        for n, part in parts.items():
            sheet.lines[n]["left"] -= part
            relief[n] -= part
            of[n] = bases[n][0]
    if levied:
        sheet.adjust("exemption", "EXEMPT", relief, {"kind": "exempt", "of": sum(of.values())})


# The answer, in the words of the engine's quote

def answer(case, sheet):
    wanted = [line["edition"] for line in case["lines"]]
    lines = [[line["edition"], line["quantity"], line["gift"], line["total"], line["total"] - line["left"], tax]
             for line, tax in zip(sheet.lines, sheet.tax)]
    sold = {edition for edition, *_ in lines}
    subtotal = in_range(sum(line["total"] for line in sheet.lines))
    discount = subtotal - sheet.worth()
    return {
        "lines": sorted(lines, key=lambda line: wanted.index(line[0]) if line[0] in wanted else len(wanted)),
        "unavailable": [edition for edition in wanted if edition not in sold],
        "subtotal": subtotal,
        "discount": discount,
        "shipping": sheet.shipping,
        "tax": sheet.tax_sum,
        "total": in_range(subtotal - discount + sheet.shipping + (0 if sheet.included else sheet.tax_sum)),
        "item_count": sum(line["quantity"] for line in sheet.lines),
        "tax_included": sheet.included,
        "settled": case["destination"] is not None and sheet.shipping_settled,
        "shipping_option": sheet.option,
        "adjustments": sheet.adjustments,
        "not_applied": sorted(sheet.refused, key=str),
        "uses": [use for turn, amount in sheet.applied for use in uses(case, turn, amount)] + orders(case),
    }


def uses(case, turn, amount):
    p, code, who = turn["promotion"], turn["code"], case["shopper"]["who"]
    budget = p["budget"]
    counted = [
        (f"uses/{p['id']}", 1, budget["uses"]),
        (f"by/{who}/{p['id']}", 1, uses_each(p) if who else None),
        (f"spent/{p['id']}", amount, budget["amount"] and budget["amount"]["minor"]),
        (f"code/{code['code']}", 1, code["uses_max"]) if code else (None, 0, None),
    ]
    return [list(use) for n, use in enumerate(counted) if use[2] is not None or (n == 0 and code)]


def orders(case):
    who = case["shopper"]["who"]
    return [[f"orders/{who}", 1, None]] if who else []


def expected(case):
    try:
        return quoted(case)
    except TooLarge:
        return None


def differences(mine, theirs):
    if mine is None or theirs is None:
        return [] if mine == theirs else [f"  oracle {mine}\n  engine {theirs}"]
    theirs = {**theirs, "not_applied": sorted(map(tuple, theirs["not_applied"]), key=str)}
    found = [f"  an amount below zero: {line}" for line in mine["lines"] if not 0 <= line[4] <= line[3]]
    for key in mine:
        ours, others = mine[key], theirs[key]
        if ours == others:
            continue
        if isinstance(ours, list):
            ours, others = [x for x in ours if x not in others], [x for x in others if x not in ours]
            if not ours and not others:
                ours, others = mine[key], theirs[key]
        found.append(f"  {key}: oracle {ours}\n  {' ' * len(key)}  engine {others}")
    return found


def short(case):
    """The input in lines, without what is not said."""
    def said(value):
        if isinstance(value, list):
            return [said(part) for part in value]
        if not isinstance(value, dict):
            return value
        if "minor" in value:
            return f"{value['minor']} {value['currency']}"
        return {key: said(part) for key, part in value.items() if part not in (None, False, 0, [], {}, [None, None])}

    many = ("lines", "codes", "promotions", "taxes", "shipping", "rates")
    rows = [f"    {key}: {row}" for key in many for row in said(case[key])]
    rows += [f"    offer {edition}: {said(offer)}" for edition, offer in case["offers"].items()]
    return [f"  {said({key: value for key, value in case.items() if key not in (*many, 'offers')})}", *rows]


def main():
    quotes = wrong = 0
    for text in sys.stdin:
        both = json.loads(text)
        found = differences(expected(both["input"]), both["quote"])
        quotes += 1
        wrong += bool(found)
        if found and wrong <= PRINTED_MAX:
            print(f"SEED={both['seed']} QUOTES=1 differs:", *found, *short(both["input"]), sep="\n")
    print(f"{quotes} quotes, {wrong} differ", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
