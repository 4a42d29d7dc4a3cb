-- A machine lends each of its devices: a slot says which one it is.

ALTER TABLE slots
  ADD COLUMN device_id TEXT DEFAULT '' NOT NULL,
  ADD COLUMN device_key TEXT DEFAULT '' NOT NULL,
  ADD COLUMN model_rates JSONB DEFAULT '{}' NOT NULL;
COMMENT ON COLUMN slots.model_rates IS 'what is asked for single models: nano-USD an hour by model id; null: it is not run here';
COMMENT ON COLUMN slots.device_id IS 'how its runtime is told which device; empty: the default one';
COMMENT ON COLUMN slots.device_key IS 'the owner''s word for the device, such as cuda:1';
COMMENT ON COLUMN slots.resource IS 'fabric_ and the accelerator';
COMMENT ON COLUMN slots.accelerator IS 'cpu, cuda, rocm, directml, coreml, openvino or npu';
