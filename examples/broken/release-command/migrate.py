import sqlite3

sqlite3.connect("/tmp/shop.db").execute("ALTER TABLE orders ADD COLUMN paid")
