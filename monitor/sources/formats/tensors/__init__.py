"""What inference protocols send, requests and answers, as columns: V1 and V2 JSON, binary tensors, protobuf. No format of its own."""
