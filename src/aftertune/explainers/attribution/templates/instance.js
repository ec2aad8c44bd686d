/* A page that is one prompt, and nothing else. */
import { control, parsed } from "aftertune/basics.js";
import { drawPrompt } from "./prompt.js";

drawPrompt(control("stage"), parsed("p0"));
