SELECT on_hand, reserved, moves FROM stock WHERE edition = $1
