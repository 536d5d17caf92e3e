//! Reference problems with known answers (feature `problems`): templates for users, truth for tests and benches.
