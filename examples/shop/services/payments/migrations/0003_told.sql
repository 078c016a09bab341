-- Of which refusal the others were told: the provider's reason. Asked again and refused for the same
-- reason, there is nothing new to tell.
ALTER TABLE payments ADD COLUMN told TEXT
