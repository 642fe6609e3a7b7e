-- Uses are counted by promotion, person, code and amount, not only by coupon code. A coupon's promotion has the coupon's name.
ALTER TABLE coupons RENAME TO counters;
ALTER TABLE counters RENAME COLUMN code TO name;
UPDATE counters SET name = 'uses/' || name;

-- The ledger behind `counters`: `n` is positive for a use, negative for one given back.
ALTER TABLE coupon_moves RENAME TO uses;
ALTER TABLE uses RENAME COLUMN code TO counter;
UPDATE uses SET counter = 'uses/' || counter;
CREATE INDEX uses_by_counter ON uses (counter);
