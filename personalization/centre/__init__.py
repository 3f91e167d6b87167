"""Everything that is counted and handed on: stock, spoilage, dispatch."""
