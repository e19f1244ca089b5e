---@meta omni.board
-- SPDX-License-Identifier: MIT
-- Declares the functions of the storyboard language, which are globals in a board file. Editors (`omni init --editor`) and
-- docs/reference.md use these declarations.

---@class omni.BoardFields
---@field title? string         the film's title
---@field style? string         text that omni appends to every prompt, after an empty line
---@field defaults? omni.SceneFields  fields for all scenes, except `style`; a scene's own field replaces the default
---@field references? table<string, omni.Placeholder|string>  images and videos by name
---@field budget? number        credits that all runs of this board together may spend
---@field cut? omni.CutFields|false  how omni joins the clips; `false`: omni makes no film (default: all scenes, in the board's order)
---@field [integer] omni.Scene|omni.Scene[]|omni.Windows|false  the scenes

---@class omni.SceneFields
---@field prompt? string|false  what the scene shows: 1 to 20,000 characters
---@field duration? 4|6|8|10|false  seconds; here and below, `false` disables a default
---@field aspect_ratio? "16:9"|"9:16"|false
---@field resolution? "720p"|"1080p"|"4k"|false
---@field img_urls? (string|omni.Placeholder)[]|false  further reference images
---@field video_list? { url: string|omni.Placeholder, start?: number, ends?: number }[]|false  the model's own field for a video
---@field style? string|false   replaces the board's style; `false`: none
---@field take? integer|false   the number of the take: another clip of an otherwise identical scene
---@field references? string|omni.Placeholder|(string|omni.Placeholder)[]|false  images that the scene follows
---@field first_frame? string|omni.Placeholder|false  the image that the scene begins with
---@field video? string|omni.Placeholder|table|false  a source or reference video, or `{ video, from = seconds, to = seconds }`
---@field continues? string|table|false  another scene, whose clip is the reference video, or `{ "scene", from = seconds, to = seconds }`
---@field model? string|false   (default "google/gemini-omni")
---@field input? table|false    fields of the model that have the same name as one of these words
---@field [string] any          fields of other models

---@class omni.CutFields
---@field transition? string|table  between two clips: a name such as "fade", or `{ "fade", seconds = 0.5 }` (default "none")
---@field audio? omni.Placeholder|table  a soundtrack for the whole film: a file, or `{ file, volume = 1, clips = 1 }`
---@field size? string          the film's width and height in pixels, such as "1920x1080" (default: the most common size, by length)
---@field fps? number           the film's frames per second (default: the most common frame rate, by length)
---@field output? string        the film's file name (default "film.mp4")
---@field [integer] string|table  names of scenes, in the film's order; a picture as `{ "scene", seconds = 3 }` (default: all scenes that
---  make films)

---Returns a board. A board file ends with `return storyboard { ... }`.
---@param fields omni.BoardFields
---@return omni.Storyboard
function storyboard(fields) end

---Creates a scene. `scene` returns a function that takes the scene's fields, so you can write `scene "dawn" { prompt = "..." }`.
---@param name string  the scene's name: 1 to 100 characters, unique on the board
---@return fun(fields: omni.SceneFields): omni.Scene
function scene(name) end

---Returns one scene for each section of a long film. Call the result of `windows` with a table of the fields that the scenes share; this
---table can contain `name`.
---@param source omni.Placeholder  the film, as a placeholder from `file`
---@param seconds number     the length of a section, 1 or more
---@return omni.Windows
function windows(source, seconds) end

---Returns a placeholder for a local file. A run uploads the file when the run submits a scene that needs the file.
---@param path string  a path relative to the board's folder or, in a program, to the working directory
---@return omni.Placeholder
function file(path) end

---Returns a public http or https URL in its normal form.
---@param text string
---@return string
function url(text) end

---Returns a placeholder for the last frame of another scene's clip.
---@param scene string  its name
---@return omni.Placeholder
function last_frame(scene) end

---Returns a placeholder for another scene's clip.
---@param scene string  its name
---@return omni.Placeholder
function clip(scene) end
