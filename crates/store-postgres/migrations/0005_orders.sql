-- Lists of orders by two of owner, status and payment, without reading the orders that are left out.
--
-- All that a filter may name beside the owner is in the owner's index: an order that is left out costs its line there, not its page. The
-- index that this one replaces answers nothing that this one does not.
CREATE INDEX orders_of_owner ON orders (owner, placed_at, id, status, payment);
DROP INDEX orders_owner;
-- Orders of one status and one payment may be few among many of either.
CREATE INDEX orders_state ON orders (status, payment, placed_at, id);
-- Status and payment go together, which is to be known to whoever chooses between the indexes.
CREATE STATISTICS orders_states (mcv) ON status, payment FROM orders;
